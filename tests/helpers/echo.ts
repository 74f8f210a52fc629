/** An embedded reuseport HTTP server, fast to reload: new listeners open, then the old ones close. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { message } from "./child.ts";

export interface EchoOptions {
  port: number;
  /** Listeners a generation. */
  listeners: number;
}

/** The two halves of a reload. */
export type EchoStep = "open" | "close";

const MAIN = fileURLToPath(new URL("./echo_main.js", import.meta.url));

export class EchoServer implements Disposable {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(options: EchoOptions) {
    this.port = options.port;
    // Its stdout would be the test runner's protocol.
    this.#process = fork(MAIN, [JSON.stringify(options)], { stdio: ["ignore", 2, 2, "ipc"] });
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
