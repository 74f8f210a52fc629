/** sd_notify(3): reports this process's state to the service manager. */
import { message } from "../log.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";

const DATAGRAM = libc.SOCK_DGRAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;

type Vars = Readonly<Record<string, string | undefined>>;

/**
 * Sends `state`, such as `READY=1`, to the socket at `path` (NOTIFY_SOCKET), or nothing without
 * one. Never waits.
 * @throws SysError, EAGAIN if the service manager does not read
 */
export function notifyService(state: string, path: string | undefined): void {
  if (!path) return;
  using own = new Owned();
  const fd = own.fd(libc.socket(libc.AF_UNIX, DATAGRAM, 0));
  libc.sendto(fd, Buffer.from(state), path);
}

/**
 * Returns {@link notifyService} for one path. A failure must not end a process that does its work:
 * it is a warning, once until a message gets through.
 */
export function serviceNotifier(
  path: string | undefined,
  warn: (text: string) => void,
): (state: string) => void {
  let isFailing = false;
  return (state) => {
    try {
      notifyService(state, path);
      isFailing = false;
    } catch (error) {
      if (!isFailing) warn(`the service manager was not notified: ${message(error)}`);
      isFailing = true;
    }
  };
}

/**
 * Returns the time between two pings of the service manager's watchdog (WATCHDOG_USEC,
 * sd_watchdog_enabled(3)), a third of its period, ms; null without a watchdog for this process.
 */
export function watchdogMs(vars: Vars): number | null {
  const periodMs = Number(vars["WATCHDOG_USEC"] ?? 0) / 1000;
  const pid = vars["WATCHDOG_PID"];
  const isOurs = pid === undefined || pid === String(process.pid);
  return periodMs > 0 && isOurs ? periodMs / 3 : null;
}

/**
 * Returns a function that pings the service manager's watchdog when it is called, not more often
 * than required; one that does nothing without a watchdog.
 */
export function watchdog(vars: Vars, notify: (state: string) => void): () => void {
  const everyMs = watchdogMs(vars);
  if (everyMs === null) return () => {};
  let lastMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = performance.now();
    if (nowMs - lastMs < everyMs) return;
    lastMs = nowMs;
    notify("WATCHDOG=1");
  };
}
