/** A command that is given file descriptors as systemd gives them (sd_listen_fds(3)). */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import type { Env } from "../env.ts";
import { type Ending, exitCodeOf } from "../process/child.ts";
import { PASSED, TYPED } from "../process/signals.ts";

/** LISTEN_PID is the pid of whom they are for: the shell's, which then becomes the command. */
const BECOME = 'export LISTEN_PID=$$ && exec "$@"';

/** A file descriptor of ours, and the name to pass it under. */
export interface Passed {
  readonly name: string;
  readonly fd: number;
}

/** Runs `command` with them from 3 on, closes ours, and passes signals on; returns its exit code. */
export async function runWith(
  env: Env,
  command: readonly string[],
  passed: readonly Passed[],
): Promise<number> {
  // The service manager hears from us.
  const { NOTIFY_SOCKET: _, ...vars } = env.vars;
  const child = spawn("/bin/sh", ["-c", BECOME, "sh", ...command], {
    stdio: ["inherit", "inherit", "inherit", ...passed.map(({ fd }) => fd)],
    env: {
      ...vars,
      LISTEN_FDS: String(passed.length),
      LISTEN_FDNAMES: passed.map(({ name }) => name).join(":"),
    },
  });
  // Theirs from now on: a descriptor of ours would keep a listener open that they have closed.
  for (const { fd } of passed) closeSync(fd);
  const unsubscribe = env.onSignals(PASSED, (name) => {
    if (!(env.terminal && TYPED.has(name))) child.kill(name);
  });
  try {
    // It may have come before we listened for it.
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
