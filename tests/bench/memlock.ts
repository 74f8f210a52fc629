/** What the kernel says it keeps for a BPF object, by file descriptor. */
import { readdirSync, readFileSync } from "node:fs";
import { BpfMap } from "../../loader/bpf/map.ts";
import { MAP_TYPE } from "../../loader/core/map_shapes.ts";
import { PAGE } from "./footprint.ts";

function fdinfo(fd: number): string {
  return readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
}

/** `memlock` of a map or program, bytes (Documentation/filesystems/proc.rst). */
export function memlock(fd: number): number {
  return Number(/^memlock:\s*(\d+)/m.exec(fdinfo(fd))?.[1]);
}

/** Whether the kernel says what a map takes; before Linux 6.4 it makes whole pages of its entries. */
export function countsMaps(): boolean {
  using map = BpfMap.create("one", {
    type: MAP_TYPE.array,
    key: 4,
    value: 8,
    entries: 1,
    flags: 0,
  });
  return memlock(map.fd) % PAGE !== 0;
}

/** Our descriptors on maps. */
export function mapFds(): number[] {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => {
      try {
        return /^map_type:/m.test(fdinfo(fd));
      } catch {
        return false; // the descriptor of the listing itself
      }
    });
}
