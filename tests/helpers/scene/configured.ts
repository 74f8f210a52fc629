/** A sidecar with a config file, which the test writes again and has it re-read. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Child, started, TempDir } from "../host/child.ts";
import { NotifySocket } from "../host/notify_socket.ts";
import { until } from "../until.ts";
import type { Scene } from "./scene.ts";

const BIN = fileURLToPath(new URL("../../../cli/bin.js", import.meta.url));

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

  /** Ready; it ends with the scene. `services` as in the file; nothing else is in it but what it takes. */
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
    await child.until("READY", () => /^READY /m.test(child.output()));
  }

  /** JSON is YAML. */
  write(services: object): void {
    this.writeText(JSON.stringify({ metrics: "off", json: true, services }));
  }

  writeText(text: string): void {
    writeFileSync(this.file, text);
  }

  /** SIGHUP, and whatever becomes of it. */
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
    await until(`it says ${text}`, () => this.log().some(({ msg }) => text.test(msg)));
  }

  /** What it told the service manager. */
  notified(): readonly string[] {
    return this.#socket.received();
  }

  /** Ends it as systemd would. */
  async stop(): Promise<void> {
    assert.equal(await this.#child?.stop("SIGTERM"), 0, this.#child?.output());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child?.running) await this.#child.stop("SIGTERM");
    this.#socket[Symbol.dispose]();
    this.#dir[Symbol.dispose]();
  }
}
