/** The client's side of a connection to a store: one request at a time, each with its reply. */
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  hasCode,
  NoMatchError,
  PermissionError,
  StoreGoneError,
  StoreRefusedError,
} from "../errors.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { onReadable } from "../sys/readable.ts";
import {
  isTrustedUid,
  MAX_MESSAGE,
  type Message,
  peerOf,
  recvmsg,
  SOCK_SEQPACKET,
  sendmsg,
} from "../sys/unix_socket.ts";
import {
  decodeReply,
  encode,
  goneName,
  MalformedError,
  type StoreReply,
  type StoreRequest,
} from "./protocol.ts";
import { isDirectoryOf, requirePath } from "./socket_path.ts";

/** Timeout of a request, ms. A store replies at once, so a slower one hangs. */
const REPLY_TIMEOUT_MS = 10_000;
/** Between two attempts to connect while the store's backlog is full, ms. */
const RETRY_MS = 5;

export interface Answered {
  readonly reply: StoreReply & { readonly ok: true };
  /** Owned by the caller, close-on-exec. */
  readonly fds: readonly number[];
}

interface ConnectionEvents {
  /** The store, not this side, ended the connection. */
  closed(): void;
  /** Another client dropped a name that this one holds, or took it for good. */
  nameGone(name: string): void;
}

/** Owns the connection. To the store its end is the end of the client's process. */
export class StoreConnection implements Disposable {
  readonly #path: string;
  readonly #fd: number;
  readonly #stopWatching: () => void;
  readonly #events: ConnectionEvents;
  #pending: { resolve(message: Message): void; reject(error: Error): void } | null = null;
  /** A refusal that came before any request; the store closes the connection after it. */
  #refusal: Message | null = null;
  #lastRequest: Promise<unknown> = Promise.resolve();
  #isOpen = true;

  private constructor(path: string, fd: number, events: ConnectionEvents) {
    this.#path = path;
    this.#fd = fd;
    this.#events = events;
    this.#stopWatching = onReadable(fd, () => this.#receive());
  }

  /** @throws UsageError, NoMatchError, PermissionError, StoreGoneError */
  static async open(path: string, events: ConnectionEvents): Promise<StoreConnection> {
    const address = libc.sockaddrUnix(requirePath(path));
    for (const until = Date.now() + REPLY_TIMEOUT_MS; ; await sleep(RETRY_MS)) {
      try {
        return StoreConnection.#connect(path, address, events);
      } catch (error) {
        if (!hasCode(error, "EAGAIN", "EWOULDBLOCK") || Date.now() > until)
          throw connectError(path, error);
      }
    }
  }

  static #connect(path: string, address: Buffer, events: ConnectionEvents): StoreConnection {
    const type = SOCK_SEQPACKET | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
    using own = new Owned();
    const fd = own.fd(libc.socket(libc.AF_UNIX, type, 0));
    libc.connect(fd, address);
    requireTrusted(path, peerOf(fd).uid);
    return own.release(new StoreConnection(path, fd, events));
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Sends a request and returns its reply. The caller keeps its `fds`.
   * @throws StoreRefusedError, PermissionError, StoreGoneError
   */
  request(request: StoreRequest, fds: readonly number[] = []): Promise<Answered> {
    const answered = this.#lastRequest.then(() => this.#ask(request, fds));
    this.#lastRequest = answered.catch(() => {});
    return answered;
  }

  [Symbol.dispose](): void {
    this.#end("this side closed the connection");
  }

  async #ask(request: StoreRequest, fds: readonly number[]): Promise<Answered> {
    if (this.#refusal) return this.#read(this.#refusal, request);
    if (!this.#isOpen) throw this.#goneError("the connection is closed");
    const message = new Promise<Message>((resolve, reject) => {
      this.#pending = { resolve, reject };
    });
    // This timer also keeps the process alive meanwhile.
    const timer = setTimeout(() => this.#lost("it does not reply"), REPLY_TIMEOUT_MS);
    try {
      this.#send(encode(request), fds);
      return this.#read(await message, request);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#lost("its reply is malformed");
      throw this.#goneError(`its reply is malformed: ${error.message}`);
    } finally {
      clearTimeout(timer);
      this.#pending = null;
    }
  }

  #send(data: Buffer, fds: readonly number[]): void {
    try {
      if (!sendmsg(this.#fd, data, fds)) this.#lost("it does not read");
    } catch (error) {
      // A refusal that the store sent before it closed the connection may still be unread.
      if (!hasCode(error, "EPIPE", "ECONNRESET")) throw error;
      this.#receive();
    }
  }

  #read({ data, fds, truncated }: Message, { op }: StoreRequest): Answered {
    using own = new Owned();
    own.fds(fds);
    const reply = decodeReply(data);
    const expected = op === "take" && reply.ok && "fds" in reply ? reply.fds : 0;
    if (reply.ok && !truncated && fds.length === expected) return own.release({ reply, fds });
    if (reply.ok) throw new StoreGoneError("this process has too few free file descriptors");
    if (reply.reason === "peer")
      throw new PermissionError("CAP_SETUID", `${this.#path}: ${reply.error}`);
    throw new StoreRefusedError(reply.reason, reply.error);
  }

  #receive(): void {
    if (!this.#isOpen) return;
    let message: Message | null;
    try {
      message = recvmsg(this.#fd, MAX_MESSAGE);
    } catch (error) {
      this.#lost((error as Error).message);
      return;
    }
    if (message === null) return;
    using own = new Owned();
    own.fds(message.fds);
    const gone = goneName(message.data);
    if (message.data.length === 0) this.#lost("it closed the connection");
    else if (gone !== null) this.#events.nameGone(gone);
    else if (this.#pending) {
      this.#pending.resolve(own.release(message));
      this.#pending = null;
    } else this.#refusal = { ...message, fds: [] };
  }

  #lost(why: string): void {
    if (!this.#isOpen) return;
    this.#end(why);
    this.#events.closed();
  }

  #end(why: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#stopWatching();
    libc.close(this.#fd);
    this.#pending?.reject(this.#goneError(why));
  }

  #goneError(why: string): StoreGoneError {
    return new StoreGoneError(`the store at ${this.#path} is gone: ${why}`);
  }
}

/**
 * No other user may get listeners. Root may use a user's store in a directory to which only that
 * user can write: there, no third user can have put a socket.
 */
function requireTrusted(path: string, uid: number): void {
  if (isTrustedUid(uid)) return;
  if (process.geteuid?.() === 0 && isDirectoryOf(uid, dirname(path))) return;
  throw new PermissionError(
    "CAP_SETUID",
    `the store at ${path} runs as uid ${uid}: run as that user, or choose the path of your own store`,
  );
}

function connectError(path: string, error: unknown): Error {
  if (error instanceof PermissionError) return error;
  const options = { cause: error };
  if (hasCode(error, "ENOENT", "ECONNREFUSED", "ENOTDIR")) {
    const start = `start one with 'reuseport-migrate store --listen ${path}'`;
    return new NoMatchError(`no store listens on ${path}: ${start}`, options);
  }
  if (hasCode(error, "EACCES", "EPERM")) {
    return new PermissionError(
      "CAP_DAC_OVERRIDE",
      `the store at ${path} belongs to another user: run as that user`,
      options,
    );
  }
  if (hasCode(error, "EPROTOTYPE")) {
    return new NoMatchError(`the server that listens on ${path} is not a store`, options);
  }
  return new StoreGoneError(
    `the store at ${path} cannot be reached: ${(error as Error).message}`,
    options,
  );
}
