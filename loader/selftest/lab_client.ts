/** A client in the lab: sends a line no other sends, and is content only with that same line back. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** How long an answer that is due may take, on a slow machine too. */
const PATIENCE_MS = 10_000;
/** How a client is lost that nobody refused. */
export const NO_ANSWER = "no answer";

export class LabClient {
  readonly #line = `${randomUUID()}\n`;
  readonly #socket: Socket;
  /** How it was lost; null: it was served. Never rejects. */
  readonly outcome: Promise<string | null>;

  private constructor(port: number) {
    this.#socket = connect({ host: "127.0.0.1", port, noDelay: true });
    this.outcome = this.#listen();
  }

  /** A client that is connected, as far as it can see; or one that is lost already. */
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
        resolve(text === this.#line ? null : "another one's answer");
        socket.destroy();
      });
      socket.on("error", (reason: NodeJS.ErrnoException) => {
        error = reason.code ?? reason.message;
      });
      socket.on("close", () => resolve(error));
    });
  }

  /** From now on an answer is due. */
  expect(): void {
    this.#socket.setTimeout(PATIENCE_MS, () => this.#socket.destroy(new Error(NO_ANSWER)));
  }

  talk(): void {
    this.#socket.write(this.#line);
  }
}
