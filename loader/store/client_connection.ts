/** A connection to a store, from the side of its client: one request at a time, each with its reply. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  hasCode,
  NoMatchError,
  PermissionError,
  StoreGoneError,
  StoreRefusedError,
} from "../errors.ts";
import * as libc from "../sys/libc.ts";
import { onReadable } from "../sys/readable.ts";
import { MAX_MESSAGE, type Message, recvmsg, SOCK_SEQPACKET, sendmsg } from "../sys/unix_socket.ts";
import { decodeReply, encode, goneName, type StoreReply, type StoreRequest } from "./protocol.ts";
import { requirePath } from "./socket_path.ts";

/** A store answers at once; one that does not by then never will. */
const ANSWER_MS = 10_000;
/** While a store has more who connect than it could accept yet. */
const RETRY_MS = 5;

export interface Answered {
  readonly reply: StoreReply & { readonly ok: true };
  /** The caller's from now on, close-on-exec. */
  readonly fds: readonly number[];
}

export interface ConnectionEvents {
  /** The store ended the connection, not we. */
  closed(): void;
  /** Another client dropped a name that we hold, or took it for good. */
  gone(name: string): void;
}

/** Owns the connection; its end is the death of a depositor to the store. */
export class StoreConnection implements Disposable {
  readonly #path: string;
  readonly #fd: number;
  readonly #stopWatching: () => void;
  readonly #events: ConnectionEvents;
  #waiting: { resolve(message: Message): void; reject(error: Error): void } | null = null;
  /** A refusal before anything was asked: the store closes the connection now. */
  #farewell: Message | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #open = true;

  private constructor(path: string, fd: number, events: ConnectionEvents) {
    this.#path = path;
    this.#fd = fd;
    this.#events = events;
    this.#stopWatching = onReadable(fd, () => this.#receive());
  }

  /** @throws UsageError, NoMatchError, PermissionError, StoreGoneError */
  static async open(path: string, events: ConnectionEvents): Promise<StoreConnection> {
    const address = libc.sockaddrUnix(requirePath(path));
    const type = SOCK_SEQPACKET | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
    for (const until = Date.now() + ANSWER_MS; ; await sleep(RETRY_MS)) {
      const fd = libc.socket(libc.AF_UNIX, type, 0);
      try {
        libc.connect(fd, address);
        return new StoreConnection(path, fd, events);
      } catch (error) {
        libc.close(fd);
        if (!hasCode(error, "EAGAIN", "EWOULDBLOCK") || Date.now() > until)
          throw refusal(path, error);
      }
    }
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /**
   * Asks, with `fds` beside it, which stay the caller's.
   * @throws StoreRefusedError, PermissionError, StoreGoneError
   */
  request(request: StoreRequest, fds: readonly number[] = []): Promise<Answered> {
    const answered = this.#last.then(() => this.#ask(request, fds));
    this.#last = answered.catch(() => {});
    return answered;
  }

  [Symbol.dispose](): void {
    this.#end("this side closed the connection");
  }

  async #ask(request: StoreRequest, fds: readonly number[]): Promise<Answered> {
    if (this.#farewell) return this.#read(this.#farewell, request);
    if (!this.#open) throw this.#gone("the connection is closed");
    const message = new Promise<Message>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    // This timer also keeps the process alive while it waits.
    const timer = setTimeout(() => this.#lost("it does not answer"), ANSWER_MS);
    try {
      this.#send(encode(request), fds);
      return this.#read(await message, request);
    } finally {
      clearTimeout(timer);
      this.#waiting = null;
    }
  }

  #send(data: Buffer, fds: readonly number[]): void {
    try {
      if (!sendmsg(this.#fd, data, fds)) this.#lost("it does not read");
    } catch (error) {
      // What it said before it closed the connection, if anything, is still to be read.
      if (!hasCode(error, "EPIPE", "ECONNRESET")) throw error;
      this.#receive();
    }
  }

  #read({ data, fds, truncated }: Message, { op }: StoreRequest): Answered {
    const reply = decodeReply(data);
    const expected = op === "take" && reply.ok && "fds" in reply ? reply.fds : 0;
    if (reply.ok && !truncated && fds.length === expected) return { reply, fds };
    for (const fd of fds) libc.close(fd);
    if (reply.ok) throw new StoreGoneError("this process has too few file descriptors left");
    if (reply.reason === "peer")
      throw new PermissionError("CAP_SETUID", `${this.#path}: ${reply.error}`);
    throw new StoreRefusedError(reply.reason, reply.error);
  }

  #receive(): void {
    if (!this.#open) return;
    let message: Message | null;
    try {
      message = recvmsg(this.#fd, MAX_MESSAGE);
    } catch (error) {
      this.#lost((error as Error).message);
      return;
    }
    if (message === null) return;
    const gone = goneName(message.data);
    if (message.data.length === 0) this.#lost("it closed the connection");
    else if (gone !== null) this.#events.gone(gone);
    else if (this.#waiting) this.#waiting.resolve(message);
    else this.#farewell = message;
  }

  #lost(why: string): void {
    if (!this.#open) return;
    this.#end(why);
    this.#events.closed();
  }

  #end(why: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#stopWatching();
    libc.close(this.#fd);
    this.#waiting?.reject(this.#gone(why));
  }

  #gone(why: string): StoreGoneError {
    return new StoreGoneError(`the store at ${this.#path} is gone: ${why}`);
  }
}

function refusal(path: string, error: unknown): Error {
  const options = { cause: error };
  if (hasCode(error, "ENOENT", "ECONNREFUSED", "ENOTDIR")) {
    const start = `'reuseport-migrate store --listen ${path}' starts one`;
    return new NoMatchError(`no store listens on ${path}: ${start}`, options);
  }
  if (hasCode(error, "EACCES", "EPERM")) {
    return new PermissionError(
      "CAP_DAC_OVERRIDE",
      `the store at ${path} is not this user's: use it as its user, or as root`,
      options,
    );
  }
  if (hasCode(error, "EPROTOTYPE")) {
    return new NoMatchError(`what listens on ${path} is not a store`, options);
  }
  return new StoreGoneError(
    `the store at ${path} cannot be reached: ${(error as Error).message}`,
    options,
  );
}
