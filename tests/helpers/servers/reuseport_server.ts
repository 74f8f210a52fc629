/** An embedded reuseport HTTP server, fast to reload: new listeners open, then the old ones close. */
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { message } from "../host/child.ts";
import { forkUnder } from "../host/fork.ts";

export interface EchoOptions {
  port: number;
  /** More ports, each with as many listeners. */
  ports?: readonly number[];
  /** Default 127.0.0.1. */
  hosts?: readonly string[];
  /** Listeners a generation, on each port of each host. */
  listeners: number;
  mptcp?: boolean;
  /** Before it closes listeners it accepts nothing for so long: connections then wait on them. */
  stallMs?: number;
  /** A command to start it with, such as `["nsenter", ...]`. */
  under?: readonly string[];
}

/** The two halves of a reload. */
export type EchoStep = "open" | "close";

const MAIN = fileURLToPath(new URL("./reuseport_server_main.js", import.meta.url));

export class EchoServer implements Disposable {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(options: EchoOptions) {
    this.port = options.port;
    this.#process = forkUnder(options.under ?? [], MAIN, [JSON.stringify(options)]);
  }

  static async start(options: EchoOptions): Promise<EchoServer> {
    const server = new EchoServer(options);
    await message(server.#process);
    return server;
  }

  /** Returns when the new listeners are there, or the old ones closed. */
  async reload(step: EchoStep): Promise<void> {
    this.#process.send(step);
    await message(this.#process);
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}
