/** A server with one listener on 127.0.0.1 that reports when it listened, accepted and closed. */
import { FILES_PER_PROCESS } from "../host/fds.ts";
import { Script } from "../host/script.ts";

/** The answer to one command. Times are ns of CLOCK_MONOTONIC, the same in every process. */
export interface Timed {
  /** When it listened, accepted the last connection, or began to close. */
  readonly atNs: number;
  /** When the command was finished. */
  readonly doneNs: number;
  readonly accepted: number;
  /** Different requests among the accepted connections. */
  readonly requests: number;
}

export class TimedServer implements AsyncDisposable {
  readonly #script: Script<Timed>;

  constructor(port: number, backlog: number) {
    this.#script = new Script("servers/timed_server.py", port, backlog);
  }

  listen(): Promise<Timed> {
    return this.#script.command("listen");
  }

  close(): Promise<Timed> {
    return this.#script.command("close");
  }

  /**
   * Accepts `count` connections, one after the other, and reads their requests afterwards. If there
   * are more than one process can keep open, it reads and closes each at once.
   */
  accept(count: number): Promise<Timed> {
    return this.#script.command(`${count > FILES_PER_PROCESS ? "accept" : "keep"} ${count}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#script[Symbol.asyncDispose]();
  }
}
