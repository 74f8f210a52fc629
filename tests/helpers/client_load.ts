/** Continuous load from a process of its own, so that it does not wait for the test and the test not for it. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { message } from "./child.ts";
import type { Tally } from "./client.ts";

export interface Load {
  port: number;
  /** New connections a second; without, as many as `concurrency` allows. */
  rate?: number;
  concurrency: number;
  /** The load ends by itself after so many connections. */
  limit: number;
}

const MAIN = fileURLToPath(new URL("./client_load_main.js", import.meta.url));

export class LoadClient implements Disposable {
  readonly #process: ChildProcess;

  private constructor(load: Load) {
    // Its stdout would be the test runner's protocol.
    this.#process = fork(MAIN, [JSON.stringify(load)], { stdio: ["ignore", 2, 2, "ipc"] });
  }

  /** Returns once the first connection has been served (or lost). */
  static async start(load: Load): Promise<LoadClient> {
    const client = new LoadClient(load);
    await message(client.#process);
    return client;
  }

  /** Opens no more connections, waits for those under way. */
  async stop(): Promise<Tally> {
    this.#process.send("stop");
    return (await message(this.#process)) as Tally;
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}
