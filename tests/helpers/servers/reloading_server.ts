/**
 * An HTTP server with SO_REUSEPORT that a test reloads within milliseconds: on command one process
 * opens new listeners, and then closes the old ones. Kernel tests and the e2e test of --route
 * newest use it.
 */
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { message } from "../host/child.ts";
import { forkUnder } from "../host/fork.ts";

export interface ReloadingServerOptions {
  port: number;
  /** Further ports, each with the same number of listeners. */
  ports?: readonly number[];
  /** Default 127.0.0.1. */
  hosts?: readonly string[];
  /** Listeners per generation, on each port of each host. */
  listeners: number;
  mptcp?: boolean;
  /**
   * Blocks the process this long before it closes listeners, so that connections are queued on
   * them.
   */
  stallMs?: number;
  /** A command that starts it, such as `["nsenter", ...]`. */
  under?: readonly string[];
}

/** The two halves of a reload. */
export type ReloadStep = "open" | "close";

const MAIN = fileURLToPath(new URL("./reloading_server_main.js", import.meta.url));

export class ReloadingServer implements Disposable {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(options: ReloadingServerOptions) {
    this.port = options.port;
    this.#process = forkUnder(options.under ?? [], MAIN, [JSON.stringify(options)]);
  }

  static async start(options: ReloadingServerOptions): Promise<ReloadingServer> {
    const server = new ReloadingServer(options);
    await message(server.#process);
    return server;
  }

  /** Returns when the new listeners are open, or the old ones closed. */
  async reload(step: ReloadStep): Promise<void> {
    this.#process.send(step);
    await message(this.#process);
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}
