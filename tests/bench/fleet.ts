/** Many groups of a few listeners: some services, each on many addresses, of as many processes as a group has listeners. */
import { ListenerProcess } from "../helpers/listener.ts";

const FIRST_PORT = 21_001;
/** Groups of one service. */
const ADDRESSES = 50;

/** Owns the processes. */
export class Fleet implements AsyncDisposable {
  /** For `attach`. */
  readonly specs: readonly string[];
  readonly #processes: readonly ListenerProcess[];

  private constructor(specs: readonly string[], processes: readonly ListenerProcess[]) {
    this.specs = specs;
    this.#processes = processes;
  }

  static async open(groups: number, listeners: number): Promise<Fleet> {
    const ports = Array.from(
      { length: Math.ceil(groups / ADDRESSES) },
      (_, service) => FIRST_PORT + service,
    );
    const places = Array.from({ length: groups }, (_, i) => ({
      address: `127.0.1.${1 + (i % ADDRESSES)}`,
      port: FIRST_PORT + Math.floor(i / ADDRESSES),
    }));
    const processes = await Promise.all(
      Array.from({ length: listeners }, () => ListenerProcess.start()),
    );
    const fleet = new Fleet(
      ports.map((port) => `:${port}`),
      processes,
    );
    for (const process of processes) {
      await Promise.all(places.map((place) => process.open({ ...place, backlog: 256 })));
    }
    return fleet;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.kill()));
  }
}
