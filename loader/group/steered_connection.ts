/**
 * A connection of the sidecar's own to one listener of a group. The group's program steers it there
 * by its source port, and counts it: the proof that no listener of another group has it.
 */
import type { GroupKey } from "../core/listener.ts";
import { SysError } from "../errors.ts";
import { connectTo, destinationsOf, openSocket } from "../net/connect.ts";
import * as libc from "../sys/libc.ts";
import type { Group } from "./group.ts";

/** A SYN to this host arrives at once; what has not arrived after this time was dropped, ms. */
const PATIENCE_MS = 50;
/** If no address leads to the listener, all are tried again after this time, ms. */
const AGAIN_MS = 500;

/**
 * `pending`: on its way. `queued`: in the accept queue, or accepted. `ended`: also closed by its
 * other end, so it was accepted, or the listener has closed.
 */
export type Progress = "pending" | "queued" | "ended";

export class SteeredConnection implements Disposable {
  readonly #group: Group;
  readonly #slot: number;
  readonly #key: GroupKey;
  readonly #destinations: readonly Buffer[];
  /** Index of the destination that is tried. */
  #at = 0;
  #fd = -1;
  #isSteered = () => false;
  /** When this destination was tried first, or the last one had failed. */
  #sinceMs = 0;
  #isUnreachable = false;

  /** @param slot entry of the listener in the group's sockmap */
  constructor(group: Group, slot: number, key: GroupKey) {
    this.#group = group;
    this.#slot = slot;
    this.#key = key;
    this.#destinations = destinationsOf(key);
  }

  /** Every address was tried, and none led to the listener. */
  get isUnreachable(): boolean {
    return this.#isUnreachable;
  }

  /** Begins, or goes on. Does not wait. @requires a plan in force, which carries the steering */
  advance(): Progress {
    const nowMs = performance.now();
    if (this.#at === this.#destinations.length) {
      if (nowMs - this.#sinceMs < AGAIN_MS) return "pending";
      this.#at = 0;
    }
    for (; this.#at < this.#destinations.length; this.#at++) {
      if (this.#fd < 0) this.#connect(nowMs);
      if (this.#isSteered()) {
        this.#isUnreachable = false;
        return this.#progress();
      }
      if (this.#isConnecting && nowMs - this.#sinceMs < PATIENCE_MS) return "pending";
      this.#close(); // another listener has it, or none
    }
    this.#isUnreachable = true;
    this.#sinceMs = nowMs;
    return "pending";
  }

  /** Closes it. What steers it stays: the caller owns the group's steering. */
  [Symbol.dispose](): void {
    this.#close();
  }

  /** Each attempt has a port of its own, so that a late SYN is not taken for another one's. */
  #connect(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#fd = openSocket(this.#key);
    this.#isSteered = this.#group.steer({ port: libc.localPort(this.#fd), slot: this.#slot });
    try {
      connectTo(this.#fd, this.#key, this.#destinations[this.#at] as Buffer);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#close();
    }
  }

  get #isConnecting(): boolean {
    return this.#fd >= 0 && libc.tcpState(this.#fd) === libc.TCP_SYN_SENT;
  }

  /**
   * Ends our side once connected: that completes a handshake which waits for data
   * (TCP_DEFER_ACCEPT), and its acknowledgement shows that the handshake is complete there too.
   */
  #progress(): Progress {
    const { TCP_ESTABLISHED, TCP_CLOSE_WAIT, TCP_SYN_SENT, TCP_FIN_WAIT1, TCP_FIN_WAIT2 } = libc;
    if ([TCP_ESTABLISHED, TCP_CLOSE_WAIT].includes(libc.tcpState(this.#fd))) {
      libc.shutdown(this.#fd, libc.SHUT_WR);
    }
    const state = libc.tcpState(this.#fd);
    if (state === TCP_SYN_SENT || state === TCP_FIN_WAIT1) return "pending";
    return state === TCP_FIN_WAIT2 ? "queued" : "ended";
  }

  #close(): void {
    this.#isSteered = () => false;
    if (this.#fd >= 0) libc.close(this.#fd);
    this.#fd = -1;
  }
}
