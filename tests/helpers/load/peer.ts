/**
 * The clients: each sends a line no other sends, half of it at once and half of
 * it when told, and is content only with that same line back, from a process
 * that says who it is.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, Socket } from "node:net";
import { fastOpen } from "../net/fast_open.ts";
import { connectMptcp } from "../net/mptcp.ts";

/** What became of one connection: the pid that served it, or the way it was lost. */
export type Outcome = { readonly servedBy: number } | { readonly lost: string };

export interface PeerOptions {
  /** Send the line with the SYN. */
  readonly fastOpen?: boolean;
  /** Speak MPTCP, where the server does. */
  readonly mptcp?: boolean;
}

/** When a test gives up on an answer; generous, as a lost connection says so by itself. */
const PATIENCE_MS = 20_000;

export class Peer {
  readonly #halves = [randomBytes(100).toString("hex"), randomBytes(100).toString("hex")] as const;
  readonly #socket: Socket;
  #finished = false;
  /** Settles when the client knows; never rejects. */
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
   * A client whose first half is on its way: it counts as connected as soon as the
   * SYN-ACK is there. A refused one is a Peer too.
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
            : { lost: "another one's answer" },
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
   * Sends the second half, once. Where packets were held, this is also what ends
   * the wait for a retransmission.
   */
  finish(): void {
    if (this.#finished || !this.#socket.writable) return;
    this.#finished = true;
    this.#socket.write(`${this.#halves[1]}\n`);
  }

  /** Gives up. */
  destroy(): void {
    this.#socket.destroy();
  }
}

/** `count` clients, all open at the end. */
export function openPeers(
  count: number,
  address: string,
  port: number,
  options: PeerOptions = {},
): Promise<Peer[]> {
  return Promise.all(Array.from({ length: count }, () => Peer.open(address, port, options)));
}

/**
 * Has all of them finish, and counts the connections each process served; lost
 * ones are counted by their error.
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
