/**
 * How many connections a second a saturated server takes, in thin slices of time.
 *
 * A machine that shares its cores changes its speed by half from one second to the next; over tens of
 * milliseconds it is mostly the same. So every subject has its turn for some milliseconds: its load
 * generator, unmodified, runs, the others are stopped (SIGSTOP), and the kernel says how many came.
 */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Child, TempDir } from "../helpers/host/child.ts";
import { until } from "../helpers/until.ts";

/** Server and load share one core, which is never idle: what a connection costs anywhere shows. */
export const PINNED: readonly string[] = ["taskset", "-c", String(cpus().length - 1)];

/** Where load runs that is not to take from its server. */
export const ELSEWHERE: readonly string[] = ["taskset", "-c", "0"];

/** Few, so that a slice does not cut through a long batch of them; the server never waits for one. */
const CONNECTIONS = 8;
/** Until what the turn before left behind is through, ms. */
const SETTLE_MS = 3;
const MAX_TRIES = 50;

/** A load generator for the length of a question; it is stopped unless it is its turn. */
export class Saturation implements AsyncDisposable {
  readonly #child: Child;
  readonly #dir = new TempDir();

  private constructor(command: readonly string[]) {
    const [first = "", ...args] = command;
    this.#child = new Child(first, args, this.#dir.file("log"));
  }

  /** wrk: connects, as most clients do, without a bind(). */
  static connecting(port: number, where = PINNED): Promise<Saturation> {
    const options = ["-t1", `-c${CONNECTIONS}`, "-d600s", "-H", "Connection: close"];
    return Saturation.#start([...where, "wrk", ...options, `http://127.0.0.1:${port}/`]);
  }

  /** ab: binds to its own address, and any port, before it connects. */
  static binding(port: number): Promise<Saturation> {
    const options = ["-q", `-c${CONNECTIONS}`, "-t600", "-n9999999", "-B", "127.0.0.1"];
    return Saturation.#start([...PINNED, "ab", ...options, `http://127.0.0.1:${port}/`]);
  }

  static async #start(command: readonly string[]): Promise<Saturation> {
    const load = new Saturation(command);
    const before = opened();
    await until("the load is on", () => opened() > before + 1000);
    load.#child.kill("SIGSTOP");
    return load;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Its turn; connections a second. A slice in which the machine did something else is taken again. */
  async slice(ms: number): Promise<number> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const rate = await this.#slice(ms);
      if (rate > 0) return rate;
    }
    throw new Error(`nobody was served in ${MAX_TRIES} turns of ${ms} ms`);
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

  /** Ends it. @throws Error when one of its connections failed */
  async end(): Promise<void> {
    this.#child.kill("SIGCONT");
    // A signal to a process that has just been continued may be one thread's, and not wrk's first.
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

/** Connections that were established with listeners of this network namespace. */
function opened(): number {
  const [names = [], values = []] = readFileSync("/proc/self/net/snmp", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("PassiveOpens")]);
}
