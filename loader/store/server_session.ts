/** One client of the store: its connection and process. No call here waits for the client. */
import { hasCode } from "../errors.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { onReadable } from "../sys/readable.ts";
import { isTrustedUid, type Message, peerOf, recvmsg, sendmsg } from "../sys/unix_socket.ts";
import { encode, MAX_REQUEST } from "./protocol.ts";
import type { Answer } from "./store.ts";

/** Owns the connection. */
export class ServerSession implements Disposable {
  readonly pid: number;
  readonly #uid: number;
  readonly #fd: number;
  #heardMs = performance.now();
  #stopWatching: () => void = () => {};

  /** Takes ownership of `fd`, an accepted connection. */
  constructor(fd: number) {
    using own = new Owned();
    this.#fd = own.fd(fd);
    const { pid, uid } = peerOf(fd);
    this.pid = pid;
    this.#uid = uid;
    own.release(this);
  }

  /** True if the client runs as the store's user, or as root. */
  get isTrusted(): boolean {
    return isTrustedUid(this.#uid);
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
