/** A classic BPF program on a reuseport group, as some servers set: a program that is not ours. */
import koffi from "koffi";
import { checkSys } from "../../loader/sys/check.ts";
import { SOL_SOCKET } from "../../loader/sys/libc.ts";

const SO_ATTACH_REUSEPORT_CBPF = 51;
const BPF_RET_K = 0x06;

koffi.struct("sock_filter", { code: "uint16_t", jt: "uint8_t", jf: "uint8_t", k: "uint32_t" });
const sockFprog = koffi.struct("sock_fprog", { len: "uint16_t", filter: "sock_filter *" });

const setsockopt = koffi
  .load(null)
  .func("int setsockopt(int fd, int level, int name, const sock_fprog *value, uint32_t len)") as (
  fd: number,
  level: number,
  name: number,
  value: { len: number; filter: { code: number; jt: number; jf: number; k: number }[] },
  len: number,
) => number;

/** Attaches `return 0`: the group's first listener takes every new connection. */
export function attachClassicFilter(fd: number): void {
  const program = { len: 1, filter: [{ code: BPF_RET_K, jt: 0, jf: 0, k: 0 }] };
  checkSys(
    "setsockopt",
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program, koffi.sizeof(sockFprog)),
  );
}
