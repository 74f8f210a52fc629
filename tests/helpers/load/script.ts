/** A Python script of tests/helpers that is told, a line each, what to do, and answers each with a line of JSON. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";

export const PYTHON = "/usr/bin/python3";

/** A script in the source tree, where it is run from. */
export function scriptPath(name: string): string {
  return fileURLToPath(new URL(`../../../../tests/helpers/load/${name}`, import.meta.url));
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

  /** Tells it to do something; its answer. */
  async tell(command: string): Promise<Answer> {
    const answer = once(this.#lines, "line");
    this.#child.stdin?.write(`${command}\n`);
    const [line] = await Promise.race([answer, this.#ended]);
    return JSON.parse(line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended.catch(() => {});
  }
}
