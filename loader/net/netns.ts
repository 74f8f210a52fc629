/** Work inside of another network namespace. */
import { closeSync, openSync, readdirSync, readFileSync, statSync } from "node:fs";
import { hasCode, NotSupportedError, PermissionError } from "../errors.ts";
import * as libc from "../sys/libc.ts";
import { netnsInode } from "./netns_inode.ts";

/**
 * Runs `work` in the network namespace with this inode number. `work` is synchronous, because this
 * moves the calling thread and back.
 * @throws PermissionError if entering it is not permitted, NotSupportedError if it has no process
 */
export function inNetns<T>(inode: number, work: () => T): T {
  if (netnsInode("/proc/self/ns/net") === inode) return work();
  const target = openNetns(inode);
  const own = openSync("/proc/self/ns/net", "r");
  try {
    libc.setns(target);
    try {
      return work();
    } finally {
      libc.setns(own);
    }
  } catch (error) {
    if (!hasCode(error, "EPERM")) throw error;
    throw new PermissionError(
      "CAP_SYS_ADMIN",
      `network namespace ${inode} cannot be entered: not permitted; run as root, or with CAP_SYS_ADMIN`,
      { cause: error },
    );
  } finally {
    closeSync(target);
    closeSync(own);
  }
}

/** Opens the namespace through a process in it; returns the file descriptor. */
function openNetns(inode: number): number {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const path = `/proc/${pid}/ns/net`;
    try {
      if (statSync(path).ino === inode) return openSync(path, "r");
    } catch {
      // the process has ended, or tracing it is not permitted
    }
  }
  throw new NotSupportedError("netns", `network namespace ${inode} has no process left`);
}

/** Returns net.ipv4.tcp_migrate_req of a namespace: whether the kernel itself migrates there. */
export function migratesByItself(inode: number): boolean {
  const read = () => readFileSync("/proc/sys/net/ipv4/tcp_migrate_req", "utf8");
  return inNetns(inode, read).trim() === "1";
}
