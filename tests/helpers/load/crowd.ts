/** Thousands of clients that connect, send one request each and wait in the accept queue. */
import { FILES_PER_PROCESS } from "../host/fds.ts";
import { Script } from "../host/script.ts";

/** `count` clients of one port. */
export class Crowd implements AsyncDisposable {
  readonly #scripts: readonly Script<{ clients: number }>[];
  readonly #count: number;

  constructor(port: number, count: number) {
    this.#count = count;
    const processes = Math.ceil(count / FILES_PER_PROCESS);
    this.#scripts = Array.from({ length: processes }, (_, i) => {
      const first = i * FILES_PER_PROCESS;
      const size = Math.min(FILES_PER_PROCESS, count - first);
      // One address has too few ports for all clients, so each process has its own.
      return new Script("load/crowd.py", port, `127.0.0.${i + 1}`, size, first);
    });
  }

  /** Connects all clients; returns when each has sent its request. */
  async connect(): Promise<void> {
    const answers = await Promise.all(this.#scripts.map((script) => script.command("connect")));
    const all = answers.reduce((sum, { clients }) => sum + clients, 0);
    if (all !== this.#count) throw new Error(`${all} of ${this.#count} clients are connected`);
  }

  async disconnect(): Promise<void> {
    await Promise.all(this.#scripts.map((script) => script.command("disconnect")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const script of this.#scripts) await script[Symbol.asyncDispose]();
  }
}
