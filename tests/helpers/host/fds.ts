/** What a process holds: its file descriptors, and what is pinned for it. */
import { readdirSync, readlinkSync } from "node:fs";

/** What every file descriptor of this process is, sorted; the one of the reading itself left out. */
export function openFds(): string[] {
  return readdirSync("/proc/self/fd")
    .flatMap((fd) => {
      try {
        return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
      } catch {
        return []; // the directory's own, closed by now
      }
    })
    .sort();
}

/** Those among them that belong to BPF or to another process. */
export function borrowedFds(): string[] {
  return openFds().filter((fd) => /bpf|pidfd/.test(fd));
}

/** Everything below a directory of a bpf file system but the kernel's own, as sorted paths. */
export function pins(bpffs: string): string[] {
  const paths = readdirSync(bpffs, { recursive: true }) as string[];
  return paths.filter((path) => !/^(maps|progs)\.debug$/.test(path)).sort();
}
