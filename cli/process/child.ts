/** The server's process: the command in a cgroup of its own, with our stdin, stdout and stderr. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import type { ServerCgroup } from "../../loader/host/server_cgroup.ts";

/**
 * The shell enters the cgroup and then becomes the command, which keeps the pid:
 * so whatever the command does, it does in there.
 */
const ENTER = 'echo $$ >"$0" && exec "$@"';

/** How a process ended: by itself, or by a signal. */
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
    // The service manager hears from us, and not from each start.
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

  /** Sends it a signal, if it still runs. */
  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }
}

/** The exit code a shell would give: its own, or 128 and the signal's number. */
export function exitCodeOf({ code, signal }: Ending): number {
  return code ?? 128 + (signal ? constants.signals[signal] : 0);
}

/** `with code 1`, `by SIGKILL`. */
export function endingText({ code, signal }: Ending): string {
  return signal ? `by ${signal}` : `with code ${code}`;
}
