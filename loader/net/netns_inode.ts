/** Inode numbers of network namespaces, by which the kernel identifies them. */
import { statfsSync, statSync } from "node:fs";
import { PermissionError, UsageError } from "../errors.ts";

const NSFS_MAGIC = 0x6e736673; // uapi/linux/magic.h

/**
 * Returns the inode number of a network namespace, given by path or pid.
 * @throws UsageError if it is neither, PermissionError if reading it is not permitted
 */
export function netnsInode(pathOrPid: string | number): number {
  const path = typeof pathOrPid === "number" ? `/proc/${pathOrPid}/ns/net` : pathOrPid;
  try {
    if (statfsSync(path).type === NSFS_MAGIC) return statSync(path).ino;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") {
      throw new PermissionError(
        "CAP_SYS_PTRACE",
        `${path} cannot be read: not permitted; run as root, or with CAP_SYS_PTRACE`,
        { cause: error },
      );
    }
  }
  throw new UsageError(
    `${path} is not a network namespace: give a pid, or a file such as /run/netns/NAME`,
  );
}
