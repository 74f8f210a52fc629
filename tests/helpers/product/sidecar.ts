/** The product as its users run it: the built command, in a process of its own. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Stage } from "../../../loader/core/abi.ts";
import { Child, started, TempDir } from "../host/child.ts";
import { until } from "../until.ts";
import { HERE } from "./cli.ts";

const run = promisify(execFile);
const BIN = fileURLToPath(new URL("../../../cli/bin.js", import.meta.url));
const PINS = "/sys/fs/bpf/reuseport-migrate";

/** The decisions about connections that existed already, by stage. */
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

  /** `attach ARGS`, ready. */
  static async attach(...args: string[]): Promise<SidecarProcess> {
    const sidecar = new SidecarProcess(args);
    return started(sidecar, sidecar.start());
  }

  /** Starts it (again) and waits for its READY line. */
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

  /** Waits until an event was logged so often; wants `--json`. */
  async logged(event: string, times: number): Promise<void> {
    const needle = `"event":"${event}"`;
    const count = () => (this.#child?.output().split(needle).length ?? 0) - 1;
    await until(`${times} times ${event}`, () => count() >= times);
  }

  /** What it warned of since its last start. */
  warnings(): string[] {
    const lines = this.#child?.output().split("\n") ?? [];
    return lines.filter((line) => / warn {2}/.test(line));
  }

  /** Ends it as systemd would; it must leave nothing behind. */
  async stop(): Promise<void> {
    assert.equal(await this.#child?.stop("SIGTERM"), 0, this.#child?.output());
    assert.equal(existsSync(PINS), false, `${PINS} is left behind`);
  }

  /** Ends it as an out-of-memory killer would; what it pinned stays in force. */
  async kill(): Promise<void> {
    assert.equal(await this.#child?.stop("SIGKILL"), "SIGKILL");
    assert.equal(existsSync(PINS), true, `${PINS} is gone`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]();
    if (existsSync(PINS)) await run(process.execPath, [BIN, "detach", "--all"]);
    this.#dir[Symbol.dispose]();
  }
}

/** The samples of one metric: label set as printed -> value. */
export function samples(text: string, metric: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^(\w+)(\{.*\})? (\S+)$/.exec(line);
    if (match?.[1] === metric) found.set(match[2] ?? "", Number(match[3]));
  }
  return found;
}

/** The sum of one metric's samples whose label set contains `label`. */
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

/** The holds of a service by how they ended, and those started. */
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
