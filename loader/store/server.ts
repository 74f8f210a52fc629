/** The server of a store: its socket, its clients, and its timer. */
import { AbsentError, hasCode } from "../errors.ts";
import type { Log } from "../log.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { onReadable } from "../sys/readable.ts";
import { accept, getpeername, type Message } from "../sys/unix_socket.ts";
import { requireDescriptors, STORE_LIMITS, type StoreLimits } from "./limits.ts";
import { decodeRequest, FATAL, MalformedError, requireTimeout } from "./protocol.ts";
import { ServerSession } from "./server_session.ts";
import { StorePath } from "./socket_path.ts";
import { type Answer, Store, type StoreCounts } from "./store.ts";
import type { StoredName } from "./stored_name.ts";
import { FdStoreManager } from "./systemd_fdstore.ts";

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_MODE = 0o600;

/** Back-off of accept() when the host has no file descriptor or memory left, ms. */
const EXHAUSTED_MS = 100;

/** Options of a store. */
export interface StoreOptions {
  /** Its socket, which must not exist. */
  readonly path: string;
  /** Default timeout of a name, ms; 10,000 if left out. */
  readonly timeoutMs?: number;
  /** Permissions of the socket; 0600 if left out. */
  readonly mode?: number;
  /** Instead of {@link STORE_LIMITS}. */
  readonly limits?: Partial<StoreLimits>;
  /** The environment set by systemd. If given, systemd's fd store keeps all deposits, too. */
  readonly systemd?: Readonly<Record<string, string | undefined>>;
}

/** What a store holds and has done. */
export interface StoreStatus {
  /** Its socket. */
  readonly path: string;
  /** The names it keeps. */
  readonly names: readonly StoredName[];
  /** Connected processes. */
  readonly clients: number;
  /** Since its start. */
  readonly counts: StoreCounts;
}

/** Runs a store until it is disposed. Does not keep the process alive. */
export class StoreServer implements Disposable {
  /** Its socket. */
  readonly path: string;
  readonly #limits: StoreLimits;
  readonly #socket: StorePath;
  readonly #store: Store;
  readonly #clients = new Map<number, ServerSession>();
  #lastClient = 0;
  #stopAccepting: () => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @throws UsageError, PermissionError, ConflictError */
  constructor(options: StoreOptions, log: Log = () => {}) {
    this.#limits = { ...STORE_LIMITS, ...options.limits };
    requireDescriptors(this.#limits);
    const manager = options.systemd ? managerOf(options.systemd) : null;
    this.#store = new Store({
      limits: this.#limits,
      timeoutMs: requireTimeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS),
      manager,
      log,
      pidOf: (client) => this.#clients.get(client)?.pid ?? 0,
    });
    this.path = options.path;
    this.#socket = StorePath.listen(options.path, options.mode ?? DEFAULT_MODE);
    using own = new Owned();
    own.use(this);
    if (manager) this.#restore(manager, options.systemd ?? {}, log);
    this.#accept();
    this.#setTimer();
    own.release(this);
  }

  /** Returns what it holds now. */
  status(): StoreStatus {
    const { path } = this;
    const clients = this.#clients.size;
    return { path, names: this.#store.names(), clients, counts: this.#store.counts() };
  }

  /** Closes all deposits and connections, and removes the socket's path. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stopAccepting();
    this.#socket[Symbol.dispose]();
    for (const client of this.#clients.values()) client[Symbol.dispose]();
    this.#clients.clear();
    this.#store[Symbol.dispose]();
  }

  #restore(manager: FdStoreManager, vars: NonNullable<StoreOptions["systemd"]>, log: Log): void {
    const { deposits, others } = manager.restore(vars);
    this.#store.restore(deposits);
    for (const name of others) {
      const text = `ignored '${name}', which the service manager kept but the store did not put`;
      log({ level: "warn", event: "warning", text, fields: {} });
    }
  }

  #accept(): void {
    this.#stopAccepting = onReadable(this.#socket.fd, () => {
      try {
        const fd = accept(this.#socket.fd);
        if (fd !== null) this.#welcome(fd);
      } catch (error) {
        if (!hasCode(error, "EMFILE", "ENFILE", "ENOMEM", "ENOBUFS")) throw error;
        // The socket stays readable, so without a pause this would be a busy loop.
        this.#stopAccepting();
        const retry = setTimeout(() => this.#accept(), EXHAUSTED_MS).unref();
        this.#stopAccepting = () => clearTimeout(retry);
      }
    });
  }

  #welcome(fd: number): void {
    using own = new Owned();
    const client = own.use(new ServerSession(fd));
    const { clients } = this.#limits;
    if (!client.isTrusted) {
      const error = `only processes of uid ${process.geteuid?.()} and root may use this store`;
      client.send(this.#store.refuse("peer", error));
    } else if (this.#clients.size >= clients && !this.#evictIdle()) {
      const error = `the store has ${clients} clients, its limit`;
      client.send(this.#store.refuse("clients", error));
    } else {
      const id = ++this.#lastClient;
      this.#clients.set(id, client);
      client.watch(() => this.#serve(id, client));
      own.release(client);
    }
  }

  /** Closes the longest idle client that holds no name; returns false if every client holds one. */
  #evictIdle(): boolean {
    const evictable = [...this.#clients].filter(([id]) => !this.#store.isHolder(id));
    const [idle] = evictable.toSorted(([, a], [, b]) => a.heardMs - b.heardMs);
    if (!idle) return false;
    const [id, client] = idle;
    const error = `the store has ${this.#limits.clients} clients, its limit, and this one was idle`;
    client.send(this.#store.refuse("clients", error));
    this.#close(id);
    return true;
  }

  /** Handles one message, so that clients take turns. */
  #serve(id: number, client: ServerSession): void {
    const message = client.receive();
    if (message === null) return;
    using own = new Owned();
    own.fds(message.fds);
    if (message.data.length === 0) {
      this.#close(id);
      return;
    }
    const answer = this.#answer(id, message, own);
    const { reply, gone } = answer;
    if (!client.send(answer)) this.#closeSlow(id);
    else if (!reply.ok && FATAL.has(reply.reason)) this.#close(id);
    this.#store.flushTimeouts();
    for (const holder of gone?.clients ?? []) {
      if (!this.#clients.get(holder)?.sendGone(gone?.name ?? "")) this.#closeSlow(holder);
    }
    this.#setTimer();
  }

  #closeSlow(id: number): void {
    this.#store.refuse("slow", "the client does not read its replies");
    this.#close(id);
  }

  /** @param own owns the message's descriptors, until the store does */
  #answer(id: number, { data, fds, truncated }: Message, own: Owned): Answer {
    try {
      if (!truncated) {
        const request = decodeRequest(data, fds.length);
        // The store itself would keep such a connection open, so its names would never expire.
        if (fds.some((fd) => isConnectedTo(fd, this.path)))
          throw new MalformedError("a connection to this store cannot be put into it");
        return this.#store.answer(id, request, own.release(fds));
      }
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      return this.#store.refuse("malformed", `the message is malformed: ${error.message}`);
    }
    return this.#store.refuse("truncated", "the message is too long, or lost file descriptors");
  }

  #close(id: number): void {
    this.#clients.get(id)?.[Symbol.dispose]();
    this.#clients.delete(id);
    this.#store.disconnect(id);
    this.#setTimer();
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    const { dueInMs } = this.#store;
    if (dueInMs === null || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#store.expire();
      this.#setTimer();
    }, Math.ceil(dueInMs)).unref();
  }
}

/** Returns whether `fd` is a connection to the socket at `path`. */
function isConnectedTo(fd: number, path: string): boolean {
  try {
    return getpeername(fd).equals(libc.sockaddrUnix(path));
  } catch {
    return false; // not a socket, or not connected
  }
}

function managerOf(vars: Readonly<Record<string, string | undefined>>): FdStoreManager {
  const path = vars["NOTIFY_SOCKET"];
  if (path) return new FdStoreManager(path);
  throw new AbsentError("--systemd requires a systemd service: NOTIFY_SOCKET is not set");
}
