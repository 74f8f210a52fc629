/** `reuseport-migrate store` in its own process, as users run it, and its clients. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chownSync, existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FdStore } from "../../../loader/index.ts";
import { Child, started, TempDir } from "../host/child.ts";
import { BIN } from "./cli.ts";

const STEP = fileURLToPath(new URL("./store_step_main.js", import.meta.url));
export const EXAMPLES = fileURLToPath(new URL("../../../../examples/", import.meta.url));

/** The steps of a client at which it can hang, so that a test kills it there. */
export const PUT_STEPS = ["connected", "put-sent", "put"] as const;
export const TAKE_STEPS = ["take-sent", "take-received", "take-kept", "take-confirmed"] as const;
export type Step = (typeof PUT_STEPS)[number] | (typeof TAKE_STEPS)[number];

export class StoreProcess implements AsyncDisposable {
  readonly dir = new TempDir();
  readonly path = this.dir.file("store.sock");
  readonly #args: readonly string[];
  readonly #under: readonly string[];
  readonly #clients: FdStore[] = [];
  readonly #children: Child[] = [];
  #child: Child | undefined;
  #starts = 0;

  private constructor(args: readonly string[], under: readonly string[]) {
    this.#args = args;
    this.#under = under;
  }

  /**
   * Starts `store --listen PATH ARGS` with the command `under`, in a directory of `uid`; returns
   * when it is ready.
   */
  static start(
    args: readonly string[] = [],
    { under = [], uid }: { readonly under?: readonly string[]; readonly uid?: number } = {},
  ): Promise<StoreProcess> {
    const store = new StoreProcess(args, under);
    if (uid !== undefined) chownSync(store.dir.path, uid, uid);
    return started(store, store.start());
  }

  /** Starts it, or starts it again, and waits for its READY line. */
  async start(): Promise<void> {
    const line = [...this.#under, process.execPath, BIN, "store", "--listen", this.path];
    const [command = "", ...args] = [...line, ...this.#args];
    const child = new Child(command, args, this.dir.file(`log-${++this.#starts}`));
    this.#child = child;
    await child.until("READY", () => /^READY /m.test(child.output()));
  }

  get child(): Child {
    assert.ok(this.#child);
    return this.#child;
  }

  get metricsUrl(): string {
    return /^READY .*metrics=(\S+)$/m.exec(this.child.output())?.[1] ?? "";
  }

  /** Connects from this process; the connection is closed with the store. */
  async connect(): Promise<FdStore> {
    const client = await FdStore.connect(this.path);
    this.#clients.push(client);
    return client;
  }

  /** Returns the number of open file descriptors of its process. */
  fdCount(): number {
    return readdirSync(`/proc/${this.child.pid}/fd`).length;
  }

  /** Returns the path of a named pipe, which the first call makes. */
  fifo(): string {
    const path = this.dir.file("fifo");
    if (!existsSync(path)) execFileSync("mkfifo", [path]);
    return path;
  }

  /** Starts `store VERB --store PATH ARGS` and does not wait for its end. */
  spawn(verb: string, ...args: string[]): Child {
    const all = [BIN, "store", verb, "--store", this.path, ...args];
    const child = new Child(process.execPath, all, this.dir.file(`child-${this.#children.length}`));
    this.#children.push(child);
    return child;
  }

  /** Starts another store on `path`. */
  serve(path: string): Child {
    const log = this.dir.file(`child-${this.#children.length}`);
    const child = new Child(process.execPath, [BIN, "store", "--listen", path], log);
    this.#children.push(child);
    return child;
  }

  /** Starts a client that hangs at `step`; it puts a listener on `port`, or takes one. */
  async step(step: Step, name: string, port = 0): Promise<Child> {
    const log = this.dir.file(`child-${this.#children.length}`);
    const child = new Child(process.execPath, [STEP, this.path, step, name, String(port)], log);
    this.#children.push(child);
    await child.until(step, () => child.output().includes("reached"));
    return child;
  }

  /** Ends it with SIGTERM, as systemd does; asserts exit code 0 and that its socket is removed. */
  async stop(): Promise<void> {
    assert.equal(await this.child.stop("SIGTERM"), 0, this.child.output());
    assert.equal(existsSync(this.path), false, `${this.path} is left behind`);
  }

  /** Ends it with SIGKILL, as the out-of-memory killer does; its socket stays. */
  async kill(): Promise<void> {
    assert.equal(await this.child.stop("SIGKILL"), "SIGKILL");
    assert.ok(existsSync(this.path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const child of this.#children) await child[Symbol.asyncDispose]();
    await this.#child?.[Symbol.asyncDispose]();
    this.dir[Symbol.dispose]();
  }
}
