/** Continuous load from a process of its own, so that it does not wait for the test and the test not for it. */
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { message } from "../host/child.ts";
import { forkUnder } from "../host/fork.ts";
import type { Loss, Tally } from "./client.ts";

export interface Load {
  port: number;
  /** More ports, in turn with the first. */
  ports?: readonly number[];
  /** A command to start it with, such as `["nsenter", ...]`. */
  under?: readonly string[];
  /** Where the server is, in turn; default 127.0.0.1. */
  hosts?: readonly string[];
  /** New connections a second; without, as many as `concurrency` allows. */
  rate?: number;
  concurrency: number;
  /** The load ends by itself after so many connections. */
  limit: number;
}

/** What a load says at its end. */
export interface LoadResult {
  readonly tally: Tally;
  readonly losses: readonly Loss[];
}

const MAIN = fileURLToPath(new URL("./client_load_main.js", import.meta.url));

export class LoadClient implements Disposable {
  readonly #process: ChildProcess;
  #losses: readonly Loss[] = [];

  private constructor(load: Load) {
    this.#process = forkUnder(load.under ?? [], MAIN, [JSON.stringify(load)]);
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
    const { tally, losses } = (await message(this.#process)) as LoadResult;
    this.#losses = losses;
    return tally;
  }

  /** Each lost connection, once it was stopped. */
  get losses(): readonly Loss[] {
    return this.#losses;
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}
