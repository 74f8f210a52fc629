/** Network namespaces: their identity, and work inside them. */
import { closeSync, openSync, readdirSync, readFileSync, statSync } from "node:fs";
import { hasCode, NotSupportedError, PermissionError } from "../errors.ts";
import * as libc from "../sys/libc.ts";
import { netnsInode } from "./netns_inode.ts";

/**
 * Runs `work` in a network namespace, by inode number; synchronous, as it moves this thread.
 * @throws PermissionError when it is another one and may not be entered, NotSupportedError when
 *   no process is left in it
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
      `opening a socket in network namespace ${inode} is not permitted: run as root, or with CAP_SYS_ADMIN`,
      { cause: error },
    );
  } finally {
    closeSync(target);
    closeSync(own);
  }
}

/** A file descriptor on the namespace, found through a process in it. */
function openNetns(inode: number): number {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const path = `/proc/${pid}/ns/net`;
    try {
      if (statSync(path).ino === inode) return openSync(path, "r");
    } catch {
      // gone, or a kernel thread's
    }
  }
  throw new NotSupportedError("netns", `no process is left in network namespace ${inode}`);
}

/** Whether the kernel migrates in this namespace where no program does (net.ipv4.tcp_migrate_req). */
export function migratesByItself(inode: number): boolean {
  const read = () => readFileSync("/proc/sys/net/ipv4/tcp_migrate_req", "utf8");
  return inNetns(inode, read).trim() === "1";
}
