/** A sidecar with a config file that a test rewrites and reloads. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { Child, started, TempDir } from "../host/child.ts";
import { NotifySocket } from "../host/notify_socket.ts";
import { BIN } from "../product/cli.ts";
import { until } from "../until.ts";
import type { Scene } from "./scene.ts";

interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly msg: string;
}

export class ConfiguredSidecar implements AsyncDisposable {
  readonly #dir = new TempDir();
  readonly file = this.#dir.file("config.yaml");
  readonly #socket = new NotifySocket(this.#dir.file("notify"));
  #child: Child | undefined;

  /**
   * Starts it with `services` in its config file; returns when it is ready. It ends with the scene.
   */
  static async start(s: Scene, services: object): Promise<ConfiguredSidecar> {
    const sidecar = new ConfiguredSidecar();
    s.defer(() => sidecar[Symbol.asyncDispose]());
    return started(sidecar, sidecar.#start(services));
  }

  async #start(services: object): Promise<void> {
    this.write(services);
    const notify = `NOTIFY_SOCKET=${this.#dir.file("notify")}`;
    const attach = [process.execPath, BIN, "attach", "--config", this.file];
    const child = new Child("env", [notify, ...attach], this.#dir.file("log"));
    this.#child = child;
    await child.until("READY", () => /"event":"ready"/.test(child.output()));
  }

  get pid(): number {
    assert.ok(this.#child);
    return this.#child.pid;
  }

  /** Writes the config file as JSON, which is YAML. */
  write(services: object): void {
    this.writeText(JSON.stringify({ metrics: "off", json: true, services }));
  }

  writeText(text: string): void {
    writeFileSync(this.file, text);
  }

  /** Sends SIGHUP; returns when the reload has succeeded or been refused. */
  async reload(): Promise<void> {
    const done = () =>
      this.log().filter(({ event, msg }) => event === "reloaded" || /is refused: /.test(msg))
        .length;
    const before = done();
    this.#child?.kill("SIGHUP");
    await this.#child?.until("it has reloaded", () => done() > before);
  }

  async change(services: object): Promise<void> {
    this.write(services);
    await this.reload();
    assert.equal(this.log().at(-1)?.level, "info", this.#child?.output());
  }

  log(): LogLine[] {
    const lines = (this.#child?.output() ?? "").split("\n");
    return lines.flatMap((line) => (line.startsWith("{") ? JSON.parse(line) : []));
  }

  async logged(text: RegExp): Promise<void> {
    await until(`it logs ${text}`, () => this.log().some(({ msg }) => text.test(msg)));
  }

  /** Returns the messages it has sent to the service manager. */
  notified(): readonly string[] {
    return this.#socket.received();
  }

  /** Ends it with SIGTERM, as systemd does. */
  async stop(): Promise<void> {
    assert.equal(await this.#child?.stop("SIGTERM"), 0, this.#child?.output());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child?.running) await this.#child.stop("SIGTERM");
    this.#socket[Symbol.dispose]();
    this.#dir[Symbol.dispose]();
  }
}
