/** The memory of a BPF object as the kernel reports it, by file descriptor. */
import { readdirSync, readFileSync } from "node:fs";
import { BpfMap } from "../../loader/bpf/map.ts";
import { MAP_TYPE } from "../../loader/core/map_shapes.ts";
import { PAGE } from "./footprint.ts";

function fdinfo(fd: number): string {
  return readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
}

/** Returns `memlock` of a map or program, bytes (Documentation/filesystems/proc.rst). */
export function memlock(fd: number): number {
  return Number(/^memlock:\s*(\d+)/m.exec(fdinfo(fd))?.[1]);
}

/** Whether the kernel reports the exact memory of a map; before Linux 6.4 it rounds up to pages. */
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

/** Returns this process's descriptors of maps. */
export function mapFds(): number[] {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => {
      try {
        return /^map_type:/m.test(fdinfo(fd));
      } catch {
        return false; // the descriptor that reads the list
      }
    });
}
