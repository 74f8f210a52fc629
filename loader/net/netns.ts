/** Work inside of another network namespace. */
import { fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { hasCode, isExhausted, NotSupportedError, PermissionError, SysError } from "../errors.ts";
import { openNetnsOf } from "../lender/lender.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { ownNetns } from "./netns_inode.ts";

/** Most namespaces of which a process is remembered. */
const MAX_PROCESSES = 1_024;

/**
 * Runs `work` in the network namespace with this inode number. `work` is synchronous, because this
 * moves the calling thread and back.
 * @throws PermissionError if entering it is not permitted, NotSupportedError if it has no process
 */
export function inNetns<T>(inode: number, work: () => T): T {
  if (ownNetns() === inode) return work();
  using own = new Owned();
  const target = own.fd(openNetns(inode));
  const home = own.fd(openSync("/proc/self/ns/net", "r"));
  try {
    libc.setns(target);
    try {
      return work();
    } finally {
      libc.setns(home);
    }
  } catch (error) {
    if (!hasCode(error, "EPERM")) throw error;
    throw new PermissionError(
      "CAP_SYS_ADMIN",
      `network namespace ${inode} cannot be entered: not permitted; run as root, or with CAP_SYS_ADMIN`,
      { cause: error },
    );
  }
}

/** A process of each namespace that was opened before: it is tried first. */
const processes = new Map<number, string>();

/** Opens the namespace through a process in it; returns the file descriptor. */
function openNetns(inode: number): number {
  const known = processes.get(inode);
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  for (const pid of known === undefined ? pids : [known, ...pids]) {
    using own = new Owned();
    const fd = own.fd(openNetnsOfOrNull(Number(pid)));
    if (fd === null || fstatSync(fd).ino !== inode) continue;
    if (processes.size === MAX_PROCESSES) processes.clear();
    processes.set(inode, pid);
    return own.release(fd);
  }
  processes.delete(inode);
  throw new NotSupportedError("netns", `network namespace ${inode} has no process left`);
}

/** Null: the process has ended or hangs, or tracing it is not permitted. */
function openNetnsOfOrNull(pid: number): number | null {
  try {
    return openNetnsOf(pid);
  } catch (error) {
    if (error instanceof SysError && !isExhausted(error)) return null;
    throw error;
  }
}

/** Returns net.ipv4.tcp_migrate_req of a namespace: whether the kernel itself migrates there. */
export function migratesByItself(inode: number): boolean {
  return isSet("tcp_migrate_req", inode);
}

/** Returns net.ipv4.tcp_abort_on_overflow: whether a final ACK is reset if the queue is full. */
export function resetsOnOverflow(inode: number): boolean {
  return isSet("tcp_abort_on_overflow", inode);
}

function isSet(name: string, inode: number): boolean {
  const read = () => readFileSync(`/proc/sys/net/ipv4/${name}`, "utf8");
  return inNetns(inode, read).trim() === "1";
}
