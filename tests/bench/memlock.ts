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

/** Returns a descriptor of each map that this process has open. */
export function mapFds(): number[] {
  const byId = new Map<string, number>();
  for (const fd of readdirSync("/proc/self/fd").map(Number)) {
    try {
      const id = /^map_id:\s*(\d+)/m.exec(fdinfo(fd))?.[1];
      if (id !== undefined && !byId.has(id)) byId.set(id, fd);
    } catch {
      // the descriptor that reads the list
    }
  }
  return [...byId.values()];
}
