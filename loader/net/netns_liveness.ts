/**
 * Which network namespaces are gone for good. The kernel does not say; what can be seen is who
 * keeps one: a process in it, or a mount of it (`ip netns add`, container runtimes). A standby keeps
 * its namespace too, but nobody can reach it there any more.
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

/** Between the two looks that it takes, ms: one may miss a process that is being forked. */
export const LOOK_AGAIN_MS = 1_000;

/** Remembers which were missing at the last look. */
export class NetnsLiveness {
  #missing: ReadonlySet<number> = new Set();
  #lookedMs = Number.NEGATIVE_INFINITY;

  /**
   * Those among `inodes` that nobody keeps, at two looks in a row.
   * @param inodes namespaces in whose groups nothing listens: without any nothing is looked at
   */
  gone(inodes: ReadonlySet<number>, nowMs: number): ReadonlySet<number> {
    if (inodes.size === 0) this.#missing = new Set();
    if (inodes.size === 0 || nowMs - this.#lookedMs < LOOK_AGAIN_MS) return new Set();
    const before = this.#missing;
    const kept = keptNetns();
    const missing = [...inodes].filter((inode) => !kept.has(inode));
    this.#missing = new Set(missing);
    this.#lookedMs = nowMs;
    return new Set(missing.filter((inode) => before.has(inode)));
  }
}

/** Inode numbers of the namespaces that a process is in or a mount keeps. */
function keptNetns(): Set<number> {
  const kept = new Set<number>();
  const mountNamespaces = new Set<string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      kept.add(statSync(`/proc/${pid}/ns/net`).ino);
      const mounts = readlinkSync(`/proc/${pid}/ns/mnt`);
      if (mountNamespaces.has(mounts)) continue;
      for (const inode of mountedNetns(pid)) kept.add(inode);
      mountNamespaces.add(mounts);
    } catch {
      // It has ended, or we may not look at it, CAP_SYS_PTRACE or not (an LSM, a user namespace
      // above ours): from such a process nothing could be borrowed either.
    }
  }
  return kept;
}

/** Mounts of namespaces: their root is `net:[4026532288]` (proc_pid_mountinfo(5)). */
function mountedNetns(pid: string): number[] {
  const text = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
  return [...text.matchAll(/^\d+ \d+ \S+ net:\[(\d+)\] /gm)].map(([, inode]) => Number(inode));
}
