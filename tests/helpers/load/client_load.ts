/**
 * Continuous load from a separate process, so that the load and the test do not delay each other.
 */
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { message } from "../host/child.ts";
import { forkUnder } from "../host/fork.ts";
import type { Loss, Tally } from "./client.ts";

export interface Load {
  port: number;
  /** Further ports, visited in turn with the first. */
  ports?: readonly number[];
  /** A command that starts the load, such as `["nsenter", ...]`. */
  under?: readonly string[];
  /** Addresses of the server, visited in turn; default 127.0.0.1. */
  hosts?: readonly string[];
  /** New connections per second; as many as `concurrency` allows if absent. */
  rate?: number;
  concurrency: number;
  /** The number of connections after which the load ends by itself. */
  limit: number;
}

/** The report of a load at its end. */
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

  /** Returns once the first connection has been served or lost. */
  static async start(load: Load): Promise<LoadClient> {
    const client = new LoadClient(load);
    await message(client.#process);
    return client;
  }

  /** Opens no further connection and waits for the open ones. */
  async stop(): Promise<Tally> {
    this.#process.send("stop");
    const { tally, losses } = (await message(this.#process)) as LoadResult;
    this.#losses = losses;
    return tally;
  }

  /** Every lost connection, known once the load is stopped. */
  get losses(): readonly Loss[] {
    return this.#losses;
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}
