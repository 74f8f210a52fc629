/** The open file descriptors of this process, and the pins in a bpf file system. */
import { readdirSync, readlinkSync } from "node:fs";

/** Files one helper process opens at most: below the usual RLIMIT_NOFILE, with room for its own. */
export const FILES_PER_PROCESS = 15_000;

/**
 * Returns `FD TARGET` for each open descriptor, sorted, without the descriptor that reads the list.
 */
export function openFds(): string[] {
  return readdirSync("/proc/self/fd")
    .flatMap((fd) => {
      try {
        return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
      } catch {
        return []; // the descriptor that read the list, closed by now
      }
    })
    .sort();
}

/** Returns the open descriptors that belong to BPF or to another process. */
export function borrowedFds(): string[] {
  return openFds().filter((fd) => /bpf|pidfd/.test(fd));
}

/** Returns every path below a bpf file system, sorted, except the kernel's own files. */
export function pins(bpffs: string): string[] {
  const paths = readdirSync(bpffs, { recursive: true }) as string[];
  return paths.filter((path) => !/^(maps|progs)\.debug$/.test(path)).sort();
}
