/**
 * Borrows listeners: duplicates the owner's file descriptor, uses it and closes it in one
 * synchronous stretch. A duplicate that stayed open would keep the listener in its group after its
 * owner's close(), and new connections to it would never be accepted. So `use` must not be async,
 * and the fd never leaves this file.
 */
import { readFileSync } from "node:fs";
import type { Listener, Owner } from "../core/listener.ts";
import { hasCode, PermissionError } from "../errors.ts";
import * as libc from "../sys/libc.ts";

/** Runs `use` on the listener's fd; returns undefined if every owner has exited or closed it. */
export function borrow<T>(listener: Listener, use: (fd: number) => T): T | undefined {
  for (const owner of listener.owners) {
    const fd = duplicate(owner);
    if (fd === null) continue;
    try {
      // The owner may have reused the number since the snapshot.
      if (cookieOf(fd) === listener.cookie) return use(fd);
    } finally {
      libc.close(fd);
    }
  }
  return undefined;
}

/**
 * Compares uid maps, which every process may read; reading the namespace itself needs
 * CAP_SYS_PTRACE.
 */
function isInOtherUserns(pid: number): boolean {
  try {
    const [ours, its] = ["self", pid].map((process) =>
      readFileSync(`/proc/${process}/uid_map`, "utf8"),
    );
    return ours !== its;
  } catch {
    return false; // it has exited
  }
}

function cookieOf(fd: number): bigint | null {
  try {
    return libc.getsockopt(fd, libc.SOL_SOCKET, libc.SO_COOKIE, 8).readBigUInt64LE();
  } catch (error) {
    if (hasCode(error, "ENOTSOCK")) return null;
    throw error;
  }
}

function duplicate(owner: Owner): number | null {
  try {
    const pidfd = libc.pidfd_open(owner.pid);
    try {
      return libc.pidfd_getfd(pidfd, owner.fd);
    } finally {
      libc.close(pidfd);
    }
  } catch (error) {
    if (hasCode(error, "ESRCH", "EBADF", "EINVAL")) return null; // after the snapshot
    if (hasCode(error, "EPERM")) {
      const failed = `duplicating the listener of ${owner.comm} (pid ${owner.pid}) is not permitted`;
      const why = isInOtherUserns(owner.pid)
        ? "it is in another user namespace; run in one above it, with CAP_SYS_PTRACE there"
        : "run as root, or grant CAP_SYS_PTRACE";
      throw new PermissionError("CAP_SYS_PTRACE", `${failed}: ${why}`, { cause: error });
    }
    throw error;
  }
}
