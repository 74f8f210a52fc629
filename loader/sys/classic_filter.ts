/** Classic BPF on a socket: the program `return 0`. */
import koffi from "koffi";
import { checkSys } from "./check.ts";
import * as guard from "./guard.ts";
import { SOL_SOCKET } from "./libc.ts";

export const SO_ATTACH_FILTER = 26;
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

/** Attaches `return 0` by socket option `name`; as a filter it drops every packet unanswered. */
export function attachReturnZero(fd: number, name: number): void {
  const program = { len: 1, filter: [{ code: BPF_RET_K, jt: 0, jf: 0, k: 0 }] };
  checkSys(
    "setsockopt",
    setsockopt(guard.fd(fd), SOL_SOCKET, name, program, koffi.sizeof(sockFprog)),
  );
}
