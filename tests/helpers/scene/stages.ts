/** Brings connections into each state in which they are lost when their listener leaves. */
import type { Peer } from "../load/peer.ts";
import { halfOpen, queued } from "../net/netstat.ts";
import { until } from "../until.ts";
import type { Scene } from "./scene.ts";

/**
 * accept queue: connected and queued. fast open: queued with its data, but still in SYN_RECV. final
 * ack and timer: requests whose final ACK, or SYN-ACK timer, comes after the listener has left.
 */
export const STATES = ["accept queue", "fast open", "final ack", "timer"] as const;
export type State = (typeof STATES)[number];

export interface Held {
  readonly peers: readonly Peer[];
  /** Lets the packets of the clients pass again. */
  readonly release: () => void;
}

/**
 * Opens `count` connections on the scene's listeners and brings them, with their data, into
 * `state`.
 */
export async function bringTo(state: State, count: number, s: Scene): Promise<Held> {
  if (state === "fast open") {
    // client | server | no cookie asked of a SYN with data | none needed to send one
    s.sysctl("net.ipv4.tcp_fastopen", 0x207);
  }
  const release = state === "accept queue" ? () => {} : s.hold();
  const peers = await s.peers(count, { fastOpen: state === "fast open" });
  if (state === "accept queue" || state === "fast open") {
    await until(`${count} connections are queued`, () => queued(s.port) === count);
  }
  if (state !== "accept queue") {
    await until(`${count} handshakes are half open`, () => halfOpen(s.port) === count);
  }
  return { peers, release };
}
