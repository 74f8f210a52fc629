/** Network namespaces by inode number, as the kernel and this program name them. */
import { statfsSync, statSync } from "node:fs";
import { PermissionError, UsageError } from "../errors.ts";

const NSFS_MAGIC = 0x6e736673; // uapi/linux/magic.h

/**
 * Inode number of a network namespace, by path or pid.
 * @throws UsageError when it is neither, PermissionError when it may not be looked at
 */
export function netnsInode(pathOrPid: string | number): number {
  const path = typeof pathOrPid === "number" ? `/proc/${pathOrPid}/ns/net` : pathOrPid;
  try {
    if (statfsSync(path).type === NSFS_MAGIC) return statSync(path).ino;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") {
      throw new PermissionError(
        "CAP_SYS_PTRACE",
        `looking at ${path} is not permitted: run as root, or with CAP_SYS_PTRACE`,
        { cause: error },
      );
    }
  }
  throw new UsageError(
    `${path} is not a network namespace: name a process, or a file such as /run/netns/NAME`,
  );
}
