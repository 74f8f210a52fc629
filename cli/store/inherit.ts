/** Runs a command with file descriptors as systemd passes them (sd_listen_fds(3)). */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import type { Env } from "../env.ts";
import { type Ending, exitCodeOf } from "../process/child.ts";
import { PASSED, TYPED } from "../process/signals.ts";

/** Sets LISTEN_PID to the pid of the command: the shell's, which then executes it. */
const BECOME = 'export LISTEN_PID=$$ && exec "$@"';

/** A file descriptor, and the name to pass it under. */
export interface Passed {
  readonly name: string;
  readonly fd: number;
}

/**
 * Runs a command with the file descriptors from 3 on and passes signals on; returns its exit code.
 * Closes our copies.
 */
export async function runWith(
  env: Env,
  command: readonly string[],
  passed: readonly Passed[],
): Promise<number> {
  // This process notifies the service manager, not the command.
  const { NOTIFY_SOCKET: _, ...vars } = env.vars;
  const child = spawn("/bin/sh", ["-c", BECOME, "sh", ...command], {
    stdio: ["inherit", "inherit", "inherit", ...passed.map(({ fd }) => fd)],
    env: {
      ...vars,
      LISTEN_FDS: String(passed.length),
      LISTEN_FDNAMES: passed.map(({ name }) => name).join(":"),
    },
  });
  // Our copy would keep a listener open after the command has closed it.
  for (const { fd } of passed) closeSync(fd);
  const unsubscribe = env.onSignals(PASSED, (name) => {
    if (!(env.terminal && TYPED.has(name))) child.kill(name);
  });
  try {
    // A signal may have come before the handler was set.
    if (env.stop.aborted) child.kill(env.stop.reason);
    return exitCodeOf(await ended(child));
  } finally {
    unsubscribe();
  }
}

function ended(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
}
