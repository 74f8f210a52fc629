/**
 * Batches of half-open handshakes, as clients with a real round-trip time have: nftables drops all
 * packets of a batch after the SYN until the batch is released. The client is connected (the
 * SYN-ACK reaches it), has sent its request and retransmits it. To hold every handshake with a
 * port, see net/handshake_loss.ts.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { add, type Kind, noVisits, type Tally, visit } from "./client.ts";

const run = promisify(execFile);
const TABLE = "reuseport_migrate_test";

/** A batch of half-open handshakes. */
export interface Held {
  /** Lets the packets of these clients pass. */
  release(): Promise<void>;
  /** The results of its connections. */
  readonly tally: Promise<Tally>;
}

/** The packet filter of one port, removed when it is disposed. */
export class HalfOpen implements AsyncDisposable {
  readonly #port: number;
  #batches = 0;

  private constructor(port: number) {
    this.#port = port;
  }

  static async install(port: number): Promise<HalfOpen> {
    await run("nft", [
      `table ip ${TABLE} {
        set held { type ipv4_addr; }
        chain input {
          type filter hook input priority 0;
          tcp dport ${port} ip saddr @held tcp flags & (syn|ack) == ack drop
        }
      }`,
    ]);
    return new HalfOpen(port);
  }

  /** Opens `count` handshakes and returns when the server has answered every SYN. */
  async hold(count: number): Promise<Held> {
    const batch = this.#batches++;
    // The filter tells the batches apart by their source addresses.
    const localAddress = `127.0.${1 + Math.floor(batch / 250)}.${1 + (batch % 250)}`;
    await run("nft", ["add", "element", "ip", TABLE, "held", `{ ${localAddress} }`]);
    const visits: Promise<Kind>[] = [];
    const connected = Array.from({ length: count }, (_, i) => {
      return new Promise<void>((resolve) => {
        const path = `/held/${batch}/${i}`;
        const kind = visit({ port: this.#port, path, localAddress, onConnect: () => resolve() });
        visits.push(kind);
        void kind.then(() => resolve()); // lost before it connected
      });
    });
    await Promise.all(connected);
    return {
      tally: Promise.all(visits).then((kinds) =>
        kinds.reduce((sum, kind) => add(sum, { ...noVisits(), [kind]: 1 }), noVisits()),
      ),
      release: async () => {
        await run("nft", ["delete", "element", "ip", TABLE, "held", `{ ${localAddress} }`]);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("nft", ["delete", "table", "ip", TABLE]);
  }
}
