/** sd_notify(3): reports this process's state to the service manager. */
import * as libc from "../sys/libc.ts";

/**
 * Sends `state`, such as `READY=1`, to the socket at `path` (NOTIFY_SOCKET), or nothing without
 * one.
 */
export function notifyService(state: string, path: string | undefined): void {
  if (!path) return;
  const fd = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM | libc.SOCK_CLOEXEC, 0);
  try {
    libc.sendto(fd, Buffer.from(state), path);
  } finally {
    libc.close(fd);
  }
}
