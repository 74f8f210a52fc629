/** Runs a command with file descriptors as systemd passes them (sd_listen_fds(3)). */
import { type ChildProcess, spawn } from "node:child_process";
import { Owned } from "../../loader/owned.ts";
import type { Env } from "../env.ts";
import { endOf, exitCodeOf, withoutServiceVars } from "../process/child.ts";

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
  return exitCodeOf(await endOf(env, start(command, passed, withoutServiceVars(env.vars))));
}

/** Starts it, and closes our copies: one would keep a listener open after the command closed it. */
function start(
  command: readonly string[],
  passed: readonly Passed[],
  vars: Env["vars"],
): ChildProcess {
  using own = new Owned();
  const fds = own.fds(passed.map(({ fd }) => fd));
  return spawn("/bin/sh", ["-c", BECOME, "sh", ...command], {
    stdio: ["inherit", "inherit", "inherit", ...fds],
    env: {
      ...vars,
      LISTEN_FDS: String(passed.length),
      LISTEN_FDNAMES: passed.map(({ name }) => name).join(":"),
    },
  });
}
