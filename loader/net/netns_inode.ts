/** Inode numbers of network namespaces, by which the kernel identifies them. */
import { fstatSync, statfsSync, statSync } from "node:fs";
import { AbsentError, HungError, isExhausted, PermissionError } from "../errors.ts";
import { openNetnsOf } from "../lender/lender.ts";
import { Owned } from "../owned.ts";

/** Instead of a path or pid: every network namespace of the host. */
export const ALL = "all";

const NSFS_MAGIC = 0x6e736673; // uapi/linux/magic.h

/** Returns the inode number of our own network namespace. */
export function ownNetns(): number {
  return netnsInode("/proc/self/ns/net");
}

/**
 * Returns the inode number of a network namespace, given by path or pid.
 * @throws AbsentError if it is neither, PermissionError if reading it is not permitted, HungError
 */
export function netnsInode(pathOrPid: string | number): number {
  const path = typeof pathOrPid === "number" ? `/proc/${pathOrPid}/ns/net` : pathOrPid;
  const [, pid] = /^\/proc\/(\d+)\/ns\/net$/.exec(path) ?? [];
  try {
    if (pid !== undefined) return inodeOf(Number(pid));
    if (statfsSync(path).type === NSFS_MAGIC) return statSync(path).ino;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") {
      throw new PermissionError(
        "CAP_SYS_PTRACE",
        `${path} cannot be read: not permitted; run as root, or with CAP_SYS_PTRACE`,
        { cause: error },
      );
    }
    if (error instanceof HungError || isExhausted(error)) throw error;
  }
  throw new AbsentError(
    `${path} is not a network namespace: give a pid, or a file such as /run/netns/NAME`,
  );
}

/** @throws HungError if the process hangs, SysError if it has ended */
function inodeOf(pid: number): number {
  using own = new Owned();
  const fd = own.fd(openNetnsOf(pid));
  if (fd === null) throw new HungError(`process ${pid} hangs: end it, or name another one`);
  return fstatSync(fd).ino;
}
