/** A server's process: the command in a cgroup, with our stdin, stdout and stderr. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import type { ServerCgroup } from "../../loader/host/server_cgroup.ts";

/**
 * The shell enters the cgroup and then executes the command, which keeps the pid: the command
 * never runs outside of the cgroup.
 */
const ENTER = 'echo $$ >"$0" && exec "$@"';

/** The end of a process: its exit code or a signal. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Child {
  readonly cgroup: ServerCgroup;
  readonly ended: Promise<Ending>;
  readonly #process: ChildProcess;

  /** Starts `command` in `cgroup`. */
  constructor(
    command: readonly string[],
    cgroup: ServerCgroup,
    vars: Readonly<Record<string, string | undefined>>,
  ) {
    this.cgroup = cgroup;
    // This process notifies the service manager, not each start.
    const { NOTIFY_SOCKET: _, ...env } = vars;
    this.#process = spawn("/bin/sh", ["-c", ENTER, cgroup.procs, ...command], {
      stdio: "inherit",
      env,
    });
    this.ended = new Promise((resolve, reject) => {
      this.#process.once("error", reject);
      this.#process.once("exit", (code, signal) => resolve({ code, signal }));
    });
  }

  /** Sends a signal, if the process still runs. */
  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
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
