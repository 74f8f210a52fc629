/** Puts a listener into a BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, as other steering programs do. */
import koffi from "koffi";
import { checkRet } from "../../../loader/sys/check.ts";

const BPF_MAP_TYPE_REUSEPORT_SOCKARRAY = 20;

/** Makes a map whose one entry is the listener `fd`; it lives until this process ends. */
export async function putIntoSockarray(fd: number): Promise<void> {
  // Loaded here, as nothing else in the process of a listener needs libbpf.
  const { bpf_map_update_elem } = await import("../../../loader/sys/libbpf.ts");
  const bpf_map_create = koffi
    .load("libbpf.so.1")
    .func(
      "int bpf_map_create(int type, const char *name, uint32_t key_size, uint32_t value_size, uint32_t max_entries, const void *opts)",
    ) as (t: number, name: string, key: number, value: number, n: number, opts: null) => number;
  const map = checkRet(
    "bpf_map_create",
    bpf_map_create(BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, "foreign", 4, 8, 1, null),
  );
  const value = Buffer.alloc(8);
  value.writeUInt32LE(fd);
  checkRet("bpf_map_update_elem", bpf_map_update_elem(map, Buffer.alloc(4), value, 0));
}
