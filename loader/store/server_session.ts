/** One client of the store: its connection and process. No call here waits for the client. */
import { hasCode } from "../errors.ts";
import * as libc from "../sys/libc.ts";
import { onReadable } from "../sys/readable.ts";
import { type Message, recvmsg, SO_PEERCRED, sendmsg } from "../sys/unix_socket.ts";
import { encode, MAX_REQUEST } from "./protocol.ts";
import type { Answer } from "./store.ts";

/** Owns the connection. */
export class ServerSession implements Disposable {
  readonly pid: number;
  readonly #uid: number;
  readonly #fd: number;
  #heardMs = performance.now();
  #stopWatching: () => void = () => {};

  /** @param fd an accepted connection */
  constructor(fd: number) {
    this.#fd = fd;
    // struct ucred: pid and uid of the client when it connected (unix(7)).
    const credentials = libc.getsockopt(fd, libc.SOL_SOCKET, SO_PEERCRED, 12);
    this.pid = credentials.readInt32LE(0);
    this.#uid = credentials.readUInt32LE(4);
  }

  /** True if the client runs as the store's user, or as root. */
  get isTrusted(): boolean {
    return this.#uid === 0 || this.#uid === process.geteuid?.();
  }

  /** Time of its last message, or of its connection (ms, performance.now()). */
  get heardMs(): number {
    return this.#heardMs;
  }

  watch(ready: () => void): void {
    this.#stopWatching = onReadable(this.#fd, ready);
  }

  /**
   * Returns the next message, null if none is pending, or an empty one after the connection's end.
   */
  receive(): Message | null {
    this.#heardMs = performance.now();
    try {
      return recvmsg(this.#fd, MAX_REQUEST);
    } catch (error) {
      if (!hasCode(error, "ECONNRESET", "EPIPE", "ENOTCONN")) throw error;
      return { data: Buffer.alloc(0), fds: [], truncated: false };
    }
  }

  /** Sends a reply; returns false if the client closed the connection or its socket is full. */
  send({ reply, fds }: Answer): boolean {
    return this.#send(encode(reply), fds);
  }

  /** Sends the event `gone` of a name; returns as {@link send}. */
  sendGone(name: string): boolean {
    return this.#send(encode({ event: "gone", name }), []);
  }

  #send(data: Buffer, fds: readonly number[]): boolean {
    try {
      return sendmsg(this.#fd, data, fds);
    } catch (error) {
      // ETOOMANYREFS: this user has too many descriptors in transit (unix(7)).
      if (!hasCode(error, "EPIPE", "ECONNRESET", "ENOTCONN", "ETOOMANYREFS", "ENOBUFS", "ENOMEM")) {
        throw error;
      }
      return false;
    }
  }

  [Symbol.dispose](): void {
    this.#stopWatching();
    libc.close(this.#fd);
  }
}
