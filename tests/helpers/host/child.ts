/** A child process of a test: its output goes to a file, and it never outlives its owner. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../until.ts";

/** A new directory that is removed when it is disposed. */
export class TempDir implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "reuseport-migrate-"));

  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export class Child implements AsyncDisposable {
  /** Exit code, or the name of the signal that ended it. */
  readonly exited: Promise<number | string>;
  readonly #process: ChildProcess;
  readonly #log: string;
  #running = true;

  /** Stdout and stderr are appended to the file `log`. */
  constructor(command: string, args: readonly string[], log: string) {
    const fd = openSync(log, "a");
    this.#process = spawn(command, args, { stdio: ["ignore", fd, fd] });
    closeSync(fd);
    this.#log = log;
    this.exited = new Promise((resolve, reject) => {
      this.#process.once("error", reject);
      this.#process.once("exit", (code, signal) => {
        this.#running = false;
        resolve(code ?? signal ?? -1);
      });
    });
    this.exited.catch(() => {
      this.#running = false;
    });
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw new Error(`${this.#process.spawnfile} did not start`);
    return pid;
  }

  get running(): boolean {
    return this.#running;
  }

  output(): string {
    return readFileSync(this.#log, "utf8");
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#running) this.#process.kill(signal);
  }

  /** Sends `signal`, and SIGKILL after a minute; returns how the process ended. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | string> {
    this.kill(signal);
    const killer = setTimeout(() => this.kill("SIGKILL"), 60_000);
    try {
      return await this.exited;
    } finally {
      clearTimeout(killer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL").catch(() => {});
  }

  /** Waits until `condition` holds. @throws Error with the output if the child ends first */
  async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    await until(what, async () => {
      if (!this.#running) {
        throw new Error(
          `the process ended (${await this.exited}) before ${what}:\n${this.output()}`,
        );
      }
      return condition();
    });
  }
}

/** Returns `resource` once `start` has succeeded; disposes it if `start` fails. */
export async function started<T extends AsyncDisposable>(
  resource: T,
  start: Promise<void>,
): Promise<T> {
  try {
    await start;
    return resource;
  } catch (error) {
    await resource[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Returns the next message of a forked child. The end of the channel, not "exit", says that there
 * is none: a message may still be unread when the child is reaped.
 * @throws Error if the child ends first
 */
export async function message(child: ChildProcess): Promise<unknown> {
  const decided = new AbortController();
  const { signal } = decided;
  const ended = () =>
    new Error(`${child.spawnargs.at(1)} ended with ${child.exitCode ?? child.signalCode}`);
  if (!child.connected) throw ended();
  try {
    const disconnected = once(child, "disconnect", { signal }).then(() => {
      throw ended();
    });
    return (await Promise.race([once(child, "message", { signal }), disconnected]))[0];
  } finally {
    decided.abort();
  }
}
