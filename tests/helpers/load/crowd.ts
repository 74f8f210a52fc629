/** Many clients that wait in a queue, and a server that says when it has accepted them. */
import { Script } from "./script.ts";

/** What {@link Taker} says; `at` and `doneNs` are CLOCK_MONOTONIC, the same in every process. */
interface Taken {
  /** When it listened, accepted the last, or began to close; ns. */
  readonly at: number;
  /** When it had done so. */
  readonly done: number;
  readonly accepted: number;
  /** Different requests among those of the accepted. */
  readonly requests: number;
}

/** A process may have fewer file descriptors than there are clients. */
const PER_PROCESS = 15_000;

/** `count` clients of a port; each has sent a request of its own when {@link come} returns. */
export class Crowd implements AsyncDisposable {
  readonly #scripts: readonly Script<{ clients: number }>[];
  readonly #count: number;

  constructor(port: number, count: number) {
    this.#count = count;
    const processes = Math.ceil(count / PER_PROCESS);
    this.#scripts = Array.from({ length: processes }, (_, i) => {
      const first = i * PER_PROCESS;
      const size = Math.min(PER_PROCESS, count - first);
      // Each has a source address of its own: there are not so many ports.
      return new Script("crowd.py", port, `127.0.0.${i + 1}`, size, first);
    });
  }

  async come(): Promise<void> {
    const came = await Promise.all(this.#scripts.map((script) => script.tell("come")));
    const all = came.reduce((sum, { clients }) => sum + clients, 0);
    if (all !== this.#count) throw new Error(`${all} of ${this.#count} clients are connected`);
  }

  async go(): Promise<void> {
    await Promise.all(this.#scripts.map((script) => script.tell("go")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const script of this.#scripts) await script[Symbol.asyncDispose]();
  }
}

/** A server with one listener on 127.0.0.1. */
export class Taker implements AsyncDisposable {
  readonly #script: Script<Taken>;

  constructor(port: number, backlog: number) {
    this.#script = new Script("accepting.py", port, backlog);
  }

  listen(): Promise<Taken> {
    return this.#script.tell("listen");
  }

  close(): Promise<Taken> {
    return this.#script.tell("close");
  }

  /** Accepts `count`, one after the other; then, or at once if they are too many to keep, reads what they sent. */
  accept(count: number): Promise<Taken> {
    return this.#script.tell(`${count > PER_PROCESS ? "accept" : "keep"} ${count}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#script[Symbol.asyncDispose]();
  }
}
