/**
 * The clients: each sends a line no other sends, and is content only with that
 * same line back, from a process that says who it is.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, Socket } from "node:net";
import { fastOpen } from "./fast_open.ts";

/** What became of one connection: the pid that served it, or the way it was lost. */
export type Outcome = { readonly servedBy: number } | { readonly lost: string };

export interface PeerOptions {
  /** Send the line with the SYN. */
  readonly fastOpen?: boolean;
}

export class Peer {
  readonly #line = randomBytes(200).toString("hex");
  readonly #socket: Socket;
  /** Settles when the client knows; never rejects. */
  readonly outcome: Promise<Outcome>;

  private constructor(address: string, port: number, options: PeerOptions) {
    const line = `${this.#line}\n`;
    if (options.fastOpen) {
      this.#socket = new Socket({
        fd: fastOpen(address, port, Buffer.from(line)),
        readable: true,
        writable: true,
      });
    } else {
      this.#socket = connect({ host: address, port, noDelay: true });
      this.#socket.write(line);
    }
    this.outcome = this.#listen(this.#socket);
  }

  /**
   * A client whose line is on its way: the kernel says connected, as soon as the
   * SYN-ACK is there, and has the line. A refused one is a Peer too.
   */
  static async open(address: string, port: number, options: PeerOptions = {}): Promise<Peer> {
    const peer = new Peer(address, port, options);
    if (!options.fastOpen) {
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
        resolve(line === this.#line ? { servedBy: Number(pid) } : { lost: "another one's answer" });
        socket.destroy();
      });
      socket.on("error", (e: NodeJS.ErrnoException) => {
        error = e.code ?? e.message;
      });
      socket.on("close", () => resolve({ lost: error }));
    });
  }

  /** Gives up. */
  destroy(): void {
    this.#socket.destroy();
  }
}

/** `count` clients, one after the other, all open at the end. */
export async function openPeers(
  count: number,
  address: string,
  port: number,
  options: PeerOptions = {},
): Promise<Peer[]> {
  const peers: Peer[] = [];
  while (peers.length < count) peers.push(await Peer.open(address, port, options));
  return peers;
}

/** How many connections each process served; lost ones are counted by their error. */
export async function tally(peers: readonly Peer[]): Promise<Record<string, number>> {
  const result: Record<string, number> = {};
  for (const peer of peers) {
    const outcome = await peer.outcome;
    const key = "lost" in outcome ? outcome.lost : String(outcome.servedBy);
    result[key] = (result[key] ?? 0) + 1;
  }
  return result;
}
