/**
 * Runs Python scripts of tests/helpers that read commands from stdin and answer each with a line of
 * JSON.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";

/**
 * The system's Python: a Python that root installed for itself may be unreadable for other users.
 */
export const PYTHON = "/usr/bin/python3";

/**
 * Returns the path of a script below tests/helpers, such as `load/crowd.py`, in the source tree.
 */
export function scriptPath(name: string): string {
  return fileURLToPath(new URL(`../../../../tests/helpers/${name}`, import.meta.url));
}

export class Script<Answer> implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #ended: Promise<never>;

  constructor(name: string, ...args: (string | number)[]) {
    const child = spawn(PYTHON, [scriptPath(name), ...args.map(String)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout });
    this.#ended = once(child, "exit").then(([code]) => {
      throw new Error(`${name} ended with ${code}`);
    });
    this.#ended.catch(() => {});
  }

  /** Sends one command and returns the script's answer. */
  async command(line: string): Promise<Answer> {
    const answer = once(this.#lines, "line");
    this.#child.stdin?.write(`${line}\n`);
    const [text] = await Promise.race([answer, this.#ended]);
    return JSON.parse(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended.catch(() => {});
  }
}
