/**
 * Clients with one long request: each sends a unique line, one half at once and the other on
 * command. It accepts only that line as the answer, preceded by the pid of the server.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, Socket } from "node:net";
import { fastOpen } from "../net/fast_open.ts";
import { connectMptcp } from "../net/mptcp.ts";

/** The result of one connection: the pid of the server, or how it was lost. */
export type Outcome = { readonly servedBy: number } | { readonly lost: string };

export interface PeerOptions {
  /** Sends the first half with the SYN. */
  readonly fastOpen?: boolean;
  /** Uses MPTCP if the server does. */
  readonly mptcp?: boolean;
}

/** How long a client waits for an answer; generous, as a loss is noticed without it. */
const PATIENCE_MS = 20_000;

export class Peer {
  readonly #halves = [randomBytes(100).toString("hex"), randomBytes(100).toString("hex")] as const;
  readonly #socket: Socket;
  #finished = false;
  /** The result, once the client knows it; never rejects. */
  readonly outcome: Promise<Outcome>;

  private constructor(address: string, port: number, options: PeerOptions) {
    const [half] = this.#halves;
    if (options.fastOpen) {
      this.#socket = new Socket({
        fd: fastOpen(address, port, Buffer.from(half)),
        readable: true,
        writable: true,
      });
    } else {
      this.#socket = options.mptcp
        ? connectMptcp(address, port)
        : connect({ host: address, port, noDelay: true });
      this.#socket.write(half);
    }
    this.outcome = this.#listen(this.#socket);
  }

  /**
   * Opens a client that has sent its first half; it is connected as soon as the SYN-ACK has
   * arrived. A refused client is a Peer too.
   */
  static async open(address: string, port: number, options: PeerOptions = {}): Promise<Peer> {
    const peer = new Peer(address, port, options);
    if (!options.fastOpen && !options.mptcp) {
      await Promise.race([once(peer.#socket, "connect").catch(() => {}), peer.outcome]);
    }
    return peer;
  }

  #listen(socket: Socket): Promise<Outcome> {
    return new Promise((resolve) => {
      let text = "";
      let error = "closed without an answer";
      socket.setEncoding("utf8");
      socket.on("data", (chunk: string) => {
        text += chunk;
        if (!text.endsWith("\n")) return;
        const [pid, line] = text.trimEnd().split(" ");
        resolve(
          line === this.#halves.join("")
            ? { servedBy: Number(pid) }
            : { lost: "the answer to another client" },
        );
        socket.destroy();
      });
      socket.on("error", (e: NodeJS.ErrnoException) => {
        error = e.code ?? e.message;
      });
      socket.on("close", () => resolve({ lost: error }));
      socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error("no answer")));
    });
  }

  /**
   * Sends the second half, once. If packets were dropped before, this also ends the wait for a
   * retransmission.
   */
  finish(): void {
    if (this.#finished || !this.#socket.writable) return;
    this.#finished = true;
    this.#socket.write(`${this.#halves[1]}\n`);
  }

  /** Abandons the connection. */
  destroy(): void {
    this.#socket.destroy();
  }
}

/** Opens `count` clients; returns when all are connected. */
export function openPeers(
  count: number,
  address: string,
  port: number,
  options: PeerOptions = {},
): Promise<Peer[]> {
  return Promise.all(Array.from({ length: count }, () => Peer.open(address, port, options)));
}

/**
 * Finishes every client and counts the connections by the pid that served them; lost connections
 * are counted by their error.
 */
export async function tally(peers: readonly Peer[]): Promise<Record<string, number>> {
  for (const peer of peers) peer.finish();
  const result: Record<string, number> = {};
  for (const peer of peers) {
    const outcome = await peer.outcome;
    const key = "lost" in outcome ? outcome.lost : String(outcome.servedBy);
    result[key] = (result[key] ?? 0) + 1;
  }
  return result;
}
