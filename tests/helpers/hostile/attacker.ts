/** A Python script of this room that runs as an attacker until it is disposed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Child, started, TempDir } from "../host/child.ts";
import { PYTHON, scriptPath } from "../host/script.ts";
import { AS_NOBODY } from "./nobody.ts";

export class Attacker implements AsyncDisposable {
  readonly #dir = new TempDir();
  readonly #child: Child;

  private constructor(under: readonly string[], argv: readonly string[]) {
    const [command = "", ...rest] = [...under, PYTHON, "-c", ...argv];
    this.#child = new Child(command, rest, join(this.#dir.path, "log"));
  }

  /**
   * Starts it; returns once it has printed READY.
   * @param script its name, such as `binds.py`
   * @param under a command that starts the attacker, by default as nobody
   */
  static start(
    script: string,
    args: readonly string[],
    under: readonly string[] = AS_NOBODY,
  ): Promise<Attacker> {
    // As text: the attacker may not be able to read the source tree.
    const text = readFileSync(scriptPath(`hostile/${script}`), "utf8");
    const attacker = new Attacker(under, [text, ...args]);
    const ready = () => attacker.output().includes("READY");
    return started(attacker, attacker.#child.until("READY", ready));
  }

  get pid(): number {
    return this.#child.pid;
  }

  output(): string {
    return this.#child.output();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
    this.#dir[Symbol.dispose]();
  }
}
