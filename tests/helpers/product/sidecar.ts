/** `reuseport-migrate attach` in its own process, as users run it, and its metrics. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import type { Stage } from "../../../loader/core/abi.ts";
import { Child, started, TempDir } from "../host/child.ts";
import { until } from "../until.ts";
import { BIN } from "./cli.ts";

const run = promisify(execFile);
const PINS = "/sys/fs/bpf/reuseport-migrate";

/** Decisions about existing connections, by stage. */
export type Migrated = Record<Exclude<Stage, "syn">, number>;

export class SidecarProcess implements AsyncDisposable {
  /** Its command; another copy of the product is an upgrade at the next {@link start}. */
  bin = BIN;
  readonly #under: readonly string[];
  readonly #args: readonly string[];
  readonly #dir = new TempDir();
  #child: Child | undefined;
  #starts = 0;
  #metricsUrl = "";

  private constructor(under: readonly string[], args: readonly string[]) {
    this.#under = under;
    this.#args = args;
  }

  /** Starts `attach ARGS`; returns when it is ready. */
  static attach(...args: string[]): Promise<SidecarProcess> {
    return SidecarProcess.attachUnder([], ...args);
  }

  /** Starts it by a command that starts another command. */
  static attachUnder(under: readonly string[], ...args: string[]): Promise<SidecarProcess> {
    const sidecar = new SidecarProcess(under, args);
    return started(sidecar, sidecar.start());
  }

  /** Starts it, or starts it again, and waits for nothing. */
  spawn(): Child {
    const log = this.#dir.file(`log-${++this.#starts}`);
    const [command = "", ...args] = [...this.#under, this.bin, "attach", ...this.#args];
    this.#child = new Child(command, args, log);
    return this.#child;
  }

  /** As {@link spawn}, and waits for its READY line. */
  async start(): Promise<void> {
    const child = this.spawn();
    const ready = /^(?:READY .*metrics=|\{.*"event":"ready",.*"metrics":")([^\s"]+)"?\}?$/m;
    await child.until("READY", () => ready.test(child.output()));
    this.#metricsUrl = ready.exec(child.output())?.[1] ?? "";
  }

  get pid(): number {
    if (this.#child === undefined) throw new Error("the sidecar was not started");
    return this.#child.pid;
  }

  get metricsUrl(): string {
    return this.#metricsUrl;
  }

  async metrics(): Promise<string> {
    const response = await fetch(this.#metricsUrl);
    assert.equal(response.status, 200);
    return response.text();
  }

  /** Waits until `event` has been logged `times` times. @requires the option `--json` */
  async logged(event: string, times: number): Promise<void> {
    const needle = `"event":"${event}"`;
    const count = () => (this.#child?.output().split(needle).length ?? 0) - 1;
    await until(`${event} is logged ${times} times`, () => count() >= times);
  }

  /** Returns what it printed since its last start. */
  output(): string {
    return this.#child?.output() ?? "";
  }

  /** Returns what it printed since its first start. */
  allOutput(): string {
    const logs = Array.from({ length: this.#starts }, (_, i) => this.#dir.file(`log-${i + 1}`));
    return logs.map((log) => `${readFileSync(log, "utf8")}`).join("-- started again\n");
  }

  /** Returns its warnings since its last start. */
  warnings(): string[] {
    const lines = this.#child?.output().split("\n") ?? [];
    return lines.filter((line) => / warn {2}/.test(line));
  }

  /** Ends it with SIGTERM, as systemd does; asserts that no pin is left. */
  async stop(): Promise<void> {
    assert.equal(await this.#child?.stop("SIGTERM"), 0, this.#child?.output());
    assert.equal(existsSync(PINS), false, `${PINS} is left behind`);
  }

  /** Ends it with SIGTERM; asserts that its pins stay in force. @requires the option `--keep` */
  async leave(): Promise<void> {
    assert.equal(await this.#child?.stop("SIGTERM"), 0, this.#child?.output());
    assert.equal(existsSync(PINS), true, `${PINS} has been removed`);
  }

  /** Ends it with SIGKILL, as the out-of-memory killer does; its pins stay in force. */
  async kill(): Promise<void> {
    assert.equal(await this.#child?.stop("SIGKILL"), "SIGKILL", this.#child?.output());
    assert.equal(existsSync(PINS), true, `${PINS} has been removed`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]();
    if (existsSync(PINS)) await run(process.execPath, [BIN, "detach", "--all"]);
    this.#dir[Symbol.dispose]();
  }
}

/** Returns the samples of one metric: printed label set -> value. */
export function samples(text: string, metric: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^(\w+)(\{.*\})? (\S+)$/.exec(line);
    if (match?.[1] === metric) found.set(match[2] ?? "", Number(match[3]));
  }
  return found;
}

/** Returns the sum of the samples of one metric whose label set contains `label`. */
export function total(text: string, metric: string, label = ""): number {
  let sum = 0;
  for (const [labels, value] of samples(text, metric)) if (labels.includes(label)) sum += value;
  return sum;
}

export function migrated(text: string): Migrated {
  const of = (stage: Stage) => total(text, "reuseport_migrate_decisions_total", `stage="${stage}"`);
  return {
    accept_queue: of("accept_queue"),
    handshake_ack: of("handshake_ack"),
    handshake_timer: of("handshake_timer"),
  };
}

/** Returns the number of holds of a service that were started, and that ended with each result. */
export function holds(text: string, service: string): Record<string, number> {
  const of = (metric: string, result = "") => {
    let sum = 0;
    for (const [labels, value] of samples(text, `reuseport_migrate_${metric}`)) {
      if (labels.includes(result) && labels.includes(`service="${service}"`)) sum += value;
    }
    return sum;
  };
  const ends = ["handed_over", "expired", "released"].map((result) => [
    result,
    of("holds_total", `result="${result}"`),
  ]);
  return { started: of("holds_started_total"), ...Object.fromEntries(ends) };
}
