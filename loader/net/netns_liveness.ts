/**
 * Detection of network namespaces that have ended. The kernel reports no end, but /proc shows the
 * processes in a namespace and the mounts of it (`ip netns add`, container runtimes). A standby
 * keeps its namespace alive too, but without these no client can reach it.
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

/** Between two scans of /proc, ms: one scan may miss a process that is being forked. */
export const NETNS_RESCAN_MS = 1_000;

/** Remembers the namespaces that the last scan did not find. */
export class NetnsLiveness {
  #missing: ReadonlySet<number> = new Set();
  #scannedMs = Number.NEGATIVE_INFINITY;

  /**
   * Returns the namespaces that two scans in a row did not find.
   * @param inodes candidates, whose groups have no listener: if there are none, nothing is scanned
   */
  findEnded(inodes: ReadonlySet<number>, nowMs: number): ReadonlySet<number> {
    if (inodes.size === 0) this.#missing = new Set();
    if (inodes.size === 0 || nowMs - this.#scannedMs < NETNS_RESCAN_MS) return new Set();
    const before = this.#missing;
    const used = usedNetns();
    const missing = [...inodes].filter((inode) => !used.has(inode));
    this.#missing = new Set(missing);
    this.#scannedMs = nowMs;
    return new Set(missing.filter((inode) => before.has(inode)));
  }
}

/** Returns the inode numbers of all namespaces that have a process or a mount. */
function usedNetns(): Set<number> {
  const used = new Set<number>();
  const mountNamespaces = new Set<string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      used.add(statSync(`/proc/${pid}/ns/net`).ino);
      const mounts = readlinkSync(`/proc/${pid}/ns/mnt`);
      if (mountNamespaces.has(mounts)) continue;
      for (const inode of mountedNetns(pid)) used.add(inode);
      mountNamespaces.add(mounts);
    } catch {
      // The process has ended, or an LSM or a parent user namespace hides it in spite of
      // CAP_SYS_PTRACE. Its listeners could not be borrowed either.
    }
  }
  return used;
}

/** Returns a process's mounted namespaces: their root is `net:[INODE]` (proc_pid_mountinfo(5)). */
function mountedNetns(pid: string): number[] {
  const text = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
  return [...text.matchAll(/^\d+ \d+ \S+ net:\[(\d+)\] /gm)].map(([, inode]) => Number(inode));
}
