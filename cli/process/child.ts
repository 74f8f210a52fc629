/** A server's process: the command in a cgroup, with our stdin, stdout and stderr. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import type { ServerCgroup } from "../../loader/host/server_cgroup.ts";
import type { Env } from "../env.ts";
import { onStartError, PassedSignals, sendSignal } from "./signals.ts";

/**
 * The shell enters the cgroup and then executes the command, which keeps the pid: the command
 * never runs outside of the cgroup.
 */
const ENTER = 'echo $$ >"$0" && exec "$@"';

/** The variables of a service manager's protocols: they concern only the process it started. */
const SERVICE_VARS = [
  "NOTIFY_SOCKET",
  "WATCHDOG_USEC",
  "WATCHDOG_PID",
  "LISTEN_PID",
  "LISTEN_FDS",
  "LISTEN_FDNAMES",
] as const;

/** Returns the variables for a child of the process that the service manager started. */
export function withoutServiceVars(vars: Env["vars"]): Env["vars"] {
  const left = { ...vars };
  for (const name of SERVICE_VARS) delete left[name];
  return left;
}

/** The end of a process: its exit code or a signal. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Child {
  readonly cgroup: ServerCgroup;
  readonly ended: Promise<Ending>;
  readonly #process: ChildProcess;

  /** Starts `command` in `cgroup`, without the variables of the service manager. */
  constructor(command: readonly string[], cgroup: ServerCgroup, vars: Env["vars"]) {
    this.cgroup = cgroup;
    this.#process = spawn("/bin/sh", ["-c", ENTER, cgroup.procs, ...command], {
      stdio: "inherit",
      env: withoutServiceVars(vars),
    });
    this.ended = new Promise((resolve, reject) => {
      onStartError(this.#process, reject);
      this.#process.once("exit", (code, signal) => resolve({ code, signal }));
    });
  }

  /** Sends a signal, if the process still runs. @throws PermissionError */
  signal(name: NodeJS.Signals): void {
    sendSignal(this.#process, name);
  }
}

/**
 * Returns the end of a command in the foreground, to which signals are passed on.
 * @throws PermissionError if one cannot be sent; the command is then left alone
 */
export async function endOf(env: Env, child: ChildProcess): Promise<Ending> {
  using signals = new PassedSignals(env, (name) => sendSignal(child, name));
  try {
    const ended = new Promise<Ending>((resolve, reject) => {
      onStartError(child, reject);
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
    return await Promise.race([ended, signals.refused]);
  } finally {
    child.unref();
  }
}

/** Returns the exit code as a shell does: that of the process, or 128 plus the signal. */
export function exitCodeOf({ code, signal }: Ending): number {
  return code ?? 128 + (signal ? constants.signals[signal] : 0);
}

/** Describes the end: `with code 1`, `by SIGKILL`. */
export function endingText({ code, signal }: Ending): string {
  return signal ? `by ${signal}` : `with code ${code}`;
}
