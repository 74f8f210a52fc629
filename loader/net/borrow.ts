/**
 * Borrowing a listener: a copy of its owner's file descriptor, used and closed
 * in one synchronous stretch. A borrowed fd that stayed open would keep a
 * listener in its group after its owner's close(), where it black-holes new
 * connections; so `use` must not be async, and the fd never leaves this file.
 */
import { readFileSync } from "node:fs";
import type { Listener, Owner } from "../core/listener.ts";
import { hasCode, PermissionError } from "../errors.ts";
import * as libc from "../sys/libc.ts";

/** Runs `use` on the listener's fd; undefined when every owner is gone or has let go of it. */
export function borrow<T>(listener: Listener, use: (fd: number) => T): T | undefined {
  for (const owner of listener.owners) {
    const fd = duplicate(owner);
    if (fd === null) continue;
    try {
      // The number may have been reused since it was observed.
      if (cookieOf(fd) === listener.cookie) return use(fd);
    } finally {
      libc.close(fd);
    }
  }
  return undefined;
}

/** By its map of users, which anybody may read; the namespace itself takes the right that is missing. */
function isInOtherUserns(pid: number): boolean {
  try {
    const [ours, its] = ["self", pid].map((who) => readFileSync(`/proc/${who}/uid_map`, "utf8"));
    return ours !== its;
  } catch {
    return false; // gone meanwhile
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
    if (hasCode(error, "ESRCH", "EBADF", "EINVAL")) return null; // gone since it was observed
    if (hasCode(error, "EPERM")) {
      const what = `borrowing the listener of process ${owner.pid} (${owner.comm}) is not permitted`;
      const why = isInOtherUserns(owner.pid)
        ? "it is in another user namespace, which takes CAP_SYS_PTRACE in ours, and ours to be above it"
        : "run as root, or with CAP_SYS_PTRACE";
      throw new PermissionError("CAP_SYS_PTRACE", `${what}: ${why}`, { cause: error });
    }
    throw error;
  }
}
