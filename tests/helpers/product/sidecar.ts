/** `reuseport-migrate attach` in its own process, as users run it, and its metrics. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import type { Stage } from "../../../loader/core/abi.ts";
import { Child, started, TempDir } from "../host/child.ts";
import { until } from "../until.ts";
import { BIN, HERE } from "./cli.ts";

const run = promisify(execFile);
const PINS = "/sys/fs/bpf/reuseport-migrate";

/** Decisions about existing connections, by stage. */
export type Migrated = Record<Exclude<Stage, "syn">, number>;

export class SidecarProcess implements AsyncDisposable {
  readonly #args: readonly string[];
  readonly #dir = new TempDir();
  #child: Child | undefined;
  #starts = 0;
  #metricsUrl = "";

  private constructor(args: readonly string[]) {
    this.#args = args;
  }

  /** Starts `attach ARGS`; returns when it is ready. */
  static async attach(...args: string[]): Promise<SidecarProcess> {
    const sidecar = new SidecarProcess(args);
    return started(sidecar, sidecar.start());
  }

  /** Starts it, or starts it again, and waits for its READY line. */
  async start(): Promise<void> {
    const log = this.#dir.file(`log-${++this.#starts}`);
    const child = new Child(BIN, ["attach", ...this.#args, ...HERE], log);
    this.#child = child;
    const ready = /^READY .*metrics=(\S+)$/m;
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

  /** Ends it with SIGKILL, as the out-of-memory killer does; its pins stay in force. */
  async kill(): Promise<void> {
    assert.equal(await this.#child?.stop("SIGKILL"), "SIGKILL");
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
  const found: Record<string, number> = { started: 0, handed_over: 0, expired: 0, released: 0 };
  for (const [labels, value] of samples(text, "reuseport_migrate_holds_total")) {
    const result = /result="(\w+)"/.exec(labels)?.[1];
    if (result && labels.includes(`service="${service}"`)) {
      found[result] = (found[result] ?? 0) + value;
    }
  }
  return found;
}
