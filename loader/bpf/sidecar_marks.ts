/**
 * Which sidecars run: each has a shared flock(2) on the bpf file system, also one that manages no
 * group. It excludes no other process, and the kernel drops it when the sidecar exits.
 */
import { closeSync, lstatSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { hasCode } from "../errors.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { holdersOf } from "./directory_lock.ts";
import { openDirectory } from "./own_directory.ts";

/** The directory of a pin tree. */
interface Tree {
  readonly root: string;
}

/** Shows that this process is a sidecar, until the result is called. */
export function markSidecar({ root }: Tree): () => void {
  using own = new Owned();
  const fd = own.fd(openDirectory(dirname(root)));
  try {
    libc.flock(fd, true);
  } catch (error) {
    // Another program has the directory to itself; the sidecar is not shown then.
    if (!hasCode(error, "EAGAIN", "EWOULDBLOCK")) throw error;
  }
  return own.release(() => closeSync(fd));
}

/** Returns the pids of the sidecars that run. On a bpffs of mode 1777 any user can take a lock. */
export function runningSidecars({ root }: Tree): number[] {
  const { dev, ino } = lstatSync(dirname(root));
  const pids = holdersOf(readFileSync("/proc/locks", "utf8"), dev, ino);
  return pids.filter((pid) => {
    const uid = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
    return uid === process.geteuid?.();
  });
}
