/** One client as the store sees it: a connection, and the process behind it. Nothing here waits for it. */
import { hasCode } from "../errors.ts";
import * as libc from "../sys/libc.ts";
import { onReadable } from "../sys/readable.ts";
import { type Message, recvmsg, SO_PEERCRED, sendmsg } from "../sys/unix_socket.ts";
import { encode, MAX_REQUEST } from "./protocol.ts";
import type { Answer } from "./store.ts";

/** Owns the connection. */
export class StoreClient implements Disposable {
  readonly pid: number;
  readonly #uid: number;
  readonly #fd: number;
  #heardMs = performance.now();
  #stopWatching: () => void = () => {};

  /** @param fd a connection that was accepted */
  constructor(fd: number) {
    this.#fd = fd;
    // struct ucred: of the process that connected, when it did.
    const credentials = libc.getsockopt(fd, libc.SOL_SOCKET, SO_PEERCRED, 12);
    this.pid = credentials.readInt32LE(0);
    this.#uid = credentials.readUInt32LE(4);
  }

  /** Ours, or root's. */
  get isTrusted(): boolean {
    return this.#uid === 0 || this.#uid === process.geteuid?.();
  }

  /** When it last sent something, or came. */
  get heardMs(): number {
    return this.#heardMs;
  }

  watch(ready: () => void): void {
    this.#stopWatching = onReadable(this.#fd, ready);
  }

  /** The next message; an empty one when the connection has ended, however it did. */
  receive(): Message | null {
    this.#heardMs = performance.now();
    try {
      return recvmsg(this.#fd, MAX_REQUEST);
    } catch (error) {
      if (!hasCode(error, "ECONNRESET", "EPIPE", "ENOTCONN")) throw error;
      return { data: Buffer.alloc(0), fds: [], truncated: false };
    }
  }

  /** False when it did not take the answer: it is gone, or so far behind that its socket is full. */
  send({ reply, fds }: Answer): boolean {
    return this.#send(encode(reply), fds);
  }

  /** Tells it that a name is gone; as {@link send}. */
  tellGone(name: string): boolean {
    return this.#send(encode({ event: "gone", name }), []);
  }

  #send(data: Buffer, fds: readonly number[]): boolean {
    try {
      return sendmsg(this.#fd, data, fds);
    } catch (error) {
      // ETOOMANYREFS: its user has too many descriptors under way.
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
