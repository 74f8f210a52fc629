/**
 * A shell command in a network namespace, with nothing of the sidecar's (bare_command.c) but its
 * user. It is killed with every process that it started, unless one of them left its process group.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { NotSupportedError } from "../errors.ts";
import { requireFreeFds } from "../owned.ts";
import { inNetns } from "./netns.ts";

/** Descriptors that a start needs; with too few, spawn() only shows that there is no process. */
const START_FDS = 8;

const PROGRAM = fileURLToPath(new URL("./bare_command", import.meta.url));

export interface BareCommandOptions {
  /** Inode number of its network namespace. */
  readonly netns: number;
  /** Added to the environment. */
  readonly vars: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export class BareCommand implements Disposable {
  readonly #child: ChildProcess;
  readonly #timer: NodeJS.Timeout;
  #isOver = false;

  /**
   * @param ended called with whether it exited with 0 in time; not after it was disposed
   * @throws NotSupportedError, PermissionError if it cannot be started there; EMFILE
   */
  constructor(command: string, options: BareCommandOptions, ended: (isOk: boolean) => void) {
    const { netns, vars, timeoutMs } = options;
    requireFreeFds(START_FDS);
    // fork() is part of spawn(), so the child is in the namespace in which this thread is then.
    this.#child = inNetns(netns, () =>
      spawn(PROGRAM, [command], {
        stdio: "ignore",
        detached: true,
        env: { ...process.env, ...vars },
      }),
    );
    this.#child.once("error", () => {});
    if (this.#child.pid === undefined) {
      const text = `${PROGRAM} cannot be started: it is missing, or for another architecture; build with make build`;
      throw new NotSupportedError("command", text);
    }
    this.#timer = setTimeout(() => this.#kill(), timeoutMs);
    this.#child.once("exit", (code) => {
      if (this.#isOver) return;
      this[Symbol.dispose]();
      ended(code === 0);
    });
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true; // from now on its number may be another group's
    clearTimeout(this.#timer);
    this.#kill();
  }

  /** Kills the process group, of which some may be left after the shell has ended. */
  #kill(): void {
    try {
      process.kill(-(this.#child.pid as number), "SIGKILL");
    } catch {
      // All of it has ended, or runs as a user whom we may not signal.
    }
  }
}
