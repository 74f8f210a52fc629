/** A sidecar in its own process whose event loop is measured. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { BIN, runCli } from "../helpers/product/cli.ts";
import type { Probed } from "./loop_probe.ts";

const PROBE = fileURLToPath(new URL("./loop_probe.js", import.meta.url));

export class ProbedSidecar implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #output = "";

  private constructor(args: readonly string[]) {
    const argv = ["--import", PROBE, BIN, "attach", ...args];
    this.#child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe", "ipc"] });
    this.#exited = once(this.#child, "exit");
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-4096);
      });
    }
  }

  /** Starts `attach ARGS`; returns when it is ready, without a time limit. */
  static async attach(...args: string[]): Promise<ProbedSidecar> {
    const sidecar = new ProbedSidecar(args);
    try {
      while (!/^READY/m.test(sidecar.#output)) await sidecar.#more();
      return sidecar;
    } catch (error) {
      await sidecar[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #more(): Promise<void> {
    const more = new Promise((resolve) => {
      this.#child.stdout?.once("data", resolve);
    });
    const ended = this.#exited.then(() => {
      throw new Error(`the sidecar ended:\n${this.#output}`);
    });
    await Promise.race([more, ended]);
  }

  /** Its READY line: `groups=1000 listeners=8000`. */
  get ready(): string {
    return /^READY (.*) metrics=/m.exec(this.#output)?.[1] ?? "";
  }

  get metricsUrl(): string {
    return /^READY .*metrics=(\S+)$/m.exec(this.#output)?.[1] ?? "";
  }

  /** Returns what was measured since the last call. */
  async probe(): Promise<Probed> {
    const answer = once(this.#child, "message");
    this.#child.send("");
    return (await answer)[0];
  }

  /**
   * Kills it and removes its pins: a graceful end of a thousand groups takes long and is not
   * measured.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
    await runCli(["detach", "--all"]);
  }
}
