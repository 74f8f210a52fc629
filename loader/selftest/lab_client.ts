/** A client in the lab: sends a unique line, and is served when that line comes back. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** Timeout (ms) of an answer, long enough for a slow machine. */
const TIMEOUT_MS = 10_000;
/** The outcome of a client that was neither refused nor reset. */
export const NO_ANSWER = "no answer";

export class LabClient {
  readonly #line = `${randomUUID()}\n`;
  readonly #socket: Socket;
  /** Why it was lost; null: it was served. Never rejects. */
  readonly outcome: Promise<string | null>;

  private constructor(port: number) {
    this.#socket = connect({ host: "127.0.0.1", port, noDelay: true });
    this.outcome = this.#listen();
  }

  /** Returns a client once it is connected, or lost. */
  static async open(port: number): Promise<LabClient> {
    const client = new LabClient(port);
    await Promise.race([once(client.#socket, "connect").catch(() => {}), client.outcome]);
    return client;
  }

  #listen(): Promise<string | null> {
    const socket = this.#socket;
    return new Promise((resolve) => {
      let text = "";
      let error = "closed without an answer";
      socket.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        if (!text.endsWith("\n")) return;
        resolve(text === this.#line ? null : "the answer to another client");
        socket.destroy();
      });
      socket.on("error", (reason: NodeJS.ErrnoException) => {
        error = reason.code ?? reason.message;
      });
      socket.on("close", () => resolve(error));
    });
  }

  /** Starts the timeout of the answer. */
  expect(): void {
    this.#socket.setTimeout(TIMEOUT_MS, () => this.#socket.destroy(new Error(NO_ANSWER)));
  }

  talk(): void {
    this.#socket.write(this.#line);
  }
}
