/**
 * The network namespaces that a mount keeps, from /proc/PID/mountinfo, which a process cannot make
 * hang. A user may have 100,000 mounts in each of many mount namespaces: the event loop turns
 * between chunks, and there is a limit.
 */
import { type FileHandle, open } from "node:fs/promises";
import { isExhausted } from "../errors.ts";
import type { ProcessNamespaces } from "./process_list.ts";

const CHUNK = 64 * 1024;
/** How much is read: bytes of one process's mounts and of all, and for how long. */
export interface MountLimits {
  readonly file: number;
  readonly all: number;
  readonly ms: number;
}

/**
 * 1 MB are 8,000 mounts, which take 0.1 s. If each is on top of the one before, the kernel takes
 * longer for each: 30,000 of them are 2.3 MB, and take 7 s.
 */
const MOUNT_LIMITS: MountLimits = { file: 4 << 20, all: 32 << 20, ms: 5_000 };
/** Longer than a line can be: two paths and options, escaped. */
const MAX_LINE = 64 * 1024;

/**
 * Returns the inode numbers of all mounted network namespaces; null if the limit was reached before
 * every mount namespace was read.
 */
export async function readMountedNetns(
  processes: readonly ProcessNamespaces[],
  limits = MOUNT_LIMITS,
): Promise<ReadonlySet<number> | null> {
  const endMs = performance.now() + limits.ms;
  const found = new Set<number>();
  const done = new Set<number>();
  let left = limits.all;
  for (const { pid, mntns } of processes) {
    if (done.has(mntns)) continue;
    const most = Math.min(left, limits.file);
    const read = await readMounts(pid, most, endMs, (inode) => found.add(inode));
    if (read === null) continue; // it has ended: another process may be in that namespace
    if (read >= most) return null;
    left -= read;
    done.add(mntns);
  }
  return found;
}

/**
 * Returns the number of bytes that were read; at least `most` if there are more or time is over, or
 * if no file descriptor is free; null: ended.
 */
async function readMounts(
  pid: number,
  most: number,
  endMs: number,
  each: (inode: number) => void,
): Promise<number | null> {
  let file: FileHandle | null = null;
  try {
    file = await open(`/proc/${pid}/mountinfo`);
    const chunk = Buffer.allocUnsafe(CHUNK);
    let read = 0;
    for (let rest = ""; read < most; ) {
      const { bytesRead } = await file.read(chunk);
      if (bytesRead === 0) return read;
      read += bytesRead;
      const text = rest + chunk.toString("latin1", 0, bytesRead);
      const end = text.lastIndexOf("\n") + 1;
      for (const inode of mountedIn(text.slice(0, end))) each(inode);
      rest = text.slice(end);
      if (rest.length > MAX_LINE || performance.now() >= endMs) return most;
    }
    return read;
  } catch (error) {
    return isExhausted(error) ? most : null;
  } finally {
    await file?.close();
  }
}

/** A mounted namespace's root is `net:[INODE]` (proc_pid_mountinfo(5)). */
function mountedIn(lines: string): number[] {
  return [...lines.matchAll(/^\d+ \d+ \S+ net:\[(\d+)\] /gm)].map(([, inode]) => Number(inode));
}
