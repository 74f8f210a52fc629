/** Many listeners of one group in one process, and the share of connections that each gets. */
import { Script } from "../host/script.ts";

interface Answer {
  /** Cookies of the listeners that were opened. */
  readonly cookies?: readonly string[];
  /** Connections of each listener, in the order in which they were opened. */
  readonly served?: readonly number[];
  readonly lost?: number;
}

/** Clients that wait at a time: fewer than the listeners' queues have room for. */
const BURST = 500;

export class Shares implements AsyncDisposable {
  readonly #script: Script<Answer>;

  constructor(address: string, port: number) {
    this.#script = new Script("load/shares.py", address, port);
  }

  /** Opens listeners; returns their cookies. */
  async open(count: number): Promise<readonly string[]> {
    return (await this.#script.command(`open ${count}`)).cookies ?? [];
  }

  /** Closes the oldest ones. */
  async close(count: number): Promise<void> {
    await this.#script.command(`close ${count}`);
  }

  /** Sets SO_LOCK_FILTER on every listener. */
  async lock(): Promise<void> {
    await this.#script.command("lock");
  }

  /** Opens clients that wait to be served. */
  async connect(count: number): Promise<void> {
    await this.#script.command(`connect ${count}`);
  }

  /** Serves every client; returns the connections of each listener, and those that were lost. */
  async serve(): Promise<{ readonly served: number[]; readonly lost: number }> {
    const { served = [], lost = 0 } = await this.#script.command("serve");
    return { served: [...served], lost };
  }

  /** Connects and serves `count` clients. */
  async visit(count: number): Promise<{ readonly served: number[]; readonly lost: number }> {
    const sums: number[] = [];
    let lost = 0;
    for (let left = count; left > 0; left -= BURST) {
      await this.connect(Math.min(left, BURST));
      const result = await this.serve();
      for (const [i, n] of result.served.entries()) sums[i] = (sums[i] ?? 0) + n;
      lost += result.lost;
    }
    return { served: sums, lost };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#script[Symbol.asyncDispose]();
  }
}
