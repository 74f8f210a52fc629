/** What the kernel says it keeps for a BPF object, by file descriptor. */
import { readdirSync, readFileSync } from "node:fs";

function fdinfo(fd: number): string {
  return readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
}

/** `memlock` of a map or program, bytes (Documentation/filesystems/proc.rst). */
export function memlock(fd: number): number {
  return Number(/^memlock:\s*(\d+)/m.exec(fdinfo(fd))?.[1]);
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
