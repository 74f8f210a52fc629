/**
 * Measures how many connections per second a saturated server accepts, in slices of milliseconds.
 *
 * A virtual machine changes its speed by half from one second to the next, but hardly within tens
 * of milliseconds. So every subject runs for some milliseconds in turn: its unmodified load
 * generator runs, the other generators are stopped (SIGSTOP), and the kernel counts the
 * connections.
 */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Child, TempDir } from "../helpers/host/child.ts";
import { until } from "../helpers/until.ts";

/** Server and load share one core, which is never idle, so every cost of a connection shows. */
export const PINNED: readonly string[] = ["taskset", "-c", String(cpus().length - 1)];

/** The core of a load that must not slow its server. */
export const ELSEWHERE: readonly string[] = ["taskset", "-c", "0"];

/** Few, so that a slice does not cut a long batch, and enough to keep the server busy. */
const CONNECTIONS = 8;
/** How long the connections of the turn before take to finish, ms. */
const SETTLE_MS = 3;
const MAX_TRIES = 50;

/** A load generator that is stopped except during its turns. */
export class Saturation implements AsyncDisposable {
  readonly #child: Child;
  readonly #dir = new TempDir();

  private constructor(command: readonly string[]) {
    const [first = "", ...args] = command;
    this.#child = new Child(first, args, this.#dir.file("log"));
  }

  /** Starts wrk, which connects without bind(), as most clients do. */
  static connecting(port: number, where = PINNED): Promise<Saturation> {
    const options = ["-t1", `-c${CONNECTIONS}`, "-d600s", "-H", "Connection: close"];
    return Saturation.#start([...where, "wrk", ...options, `http://127.0.0.1:${port}/`]);
  }

  /** Starts ab, which binds to its address before it connects. */
  static binding(port: number): Promise<Saturation> {
    const options = ["-q", `-c${CONNECTIONS}`, "-t600", "-n9999999", "-B", "127.0.0.1"];
    return Saturation.#start([...PINNED, "ab", ...options, `http://127.0.0.1:${port}/`]);
  }

  static async #start(command: readonly string[]): Promise<Saturation> {
    const load = new Saturation(command);
    const before = opened();
    await until("the load has started", () => opened() > before + 1000);
    load.#child.kill("SIGSTOP");
    return load;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Runs it for `ms`; returns connections per second. A slice without a connection is repeated. */
  async slice(ms: number): Promise<number> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const rate = await this.#slice(ms);
      if (rate > 0) return rate;
    }
    throw new Error(`no connection was accepted in ${MAX_TRIES} turns of ${ms} ms`);
  }

  async #slice(ms: number): Promise<number> {
    this.#child.kill("SIGCONT");
    await sleep(SETTLE_MS);
    const [before, from] = [opened(), performance.now()];
    await sleep(ms);
    const [after, to] = [opened(), performance.now()];
    this.#child.kill("SIGSTOP");
    return ((after - before) * 1000) / (to - from);
  }

  /** Ends it. @throws Error if one of its connections failed */
  async end(): Promise<void> {
    this.#child.kill("SIGCONT");
    // Right after SIGCONT another thread than the first of wrk may get the signal.
    await sleep(50);
    await this.#child.stop("SIGINT");
    const output = this.#child.output();
    const isDone = /^Requests(\/sec| per second):/m.test(output);
    if (!isDone || /Socket errors|Non-2xx|^Failed requests: +[1-9]|^apr_/m.test(output)) {
      throw new Error(`the load failed:\n${output}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
    this.#dir[Symbol.dispose]();
  }
}

/** Returns how many connections the listeners of this network namespace have accepted. */
function opened(): number {
  const [names = [], values = []] = readFileSync("/proc/self/net/snmp", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("PassiveOpens")]);
}
