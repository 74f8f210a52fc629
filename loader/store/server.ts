/** The store's process side: its socket, its clients, and the clock. */
import { hasCode, UsageError } from "../errors.ts";
import type { Log } from "../log.ts";
import * as libc from "../sys/libc.ts";
import { onReadable } from "../sys/readable.ts";
import { accept, getpeername, type Message } from "../sys/unix_socket.ts";
import { requireDescriptors, STORE_LIMITS, type StoreLimits } from "./limits.ts";
import {
  decodeRequest,
  FATAL,
  MalformedError,
  requireTimeout,
  type StoredName,
} from "./protocol.ts";
import { StoreClient } from "./server_session.ts";
import { StorePath } from "./socket_path.ts";
import { type Answer, Store, type StoreCounts } from "./store.ts";
import { FdStoreManager } from "./systemd_fdstore.ts";

export const STORE_TIMEOUT_MS = 10_000;
export const STORE_MODE = 0o600;

const SELF = "a connection to this store cannot be put there";
/** How long no client is accepted when the host has no descriptor left. */
const EXHAUSTED_MS = 100;

export interface StoreOptions {
  readonly path: string;
  /** Of names that are put without their own, ms; default {@link STORE_TIMEOUT_MS}. */
  readonly timeoutMs?: number;
  readonly mode?: number;
  readonly limits?: Partial<StoreLimits>;
  /** Keep all of it in systemd's fd store too: the environment systemd started us with. */
  readonly systemd?: Readonly<Record<string, string | undefined>>;
}

export interface StoreStatus {
  readonly path: string;
  readonly names: readonly StoredName[];
  readonly clients: number;
  readonly counts: StoreCounts;
}

/** Runs a store until it is closed; it keeps no process alive by itself. */
export class StoreServer implements Disposable {
  readonly path: string;
  readonly #limits: StoreLimits;
  readonly #socket: StorePath;
  readonly #store: Store;
  readonly #clients = new Map<number, StoreClient>();
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
      timeoutMs: requireTimeout(options.timeoutMs ?? STORE_TIMEOUT_MS),
      manager,
      log,
      pidOf: (client) => this.#clients.get(client)?.pid ?? 0,
    });
    this.path = options.path;
    this.#socket = StorePath.listen(options.path, options.mode ?? STORE_MODE);
    try {
      if (manager) this.#restore(manager, options.systemd ?? {}, log);
      this.#accept();
      this.#arm();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  status(): StoreStatus {
    const { path } = this;
    const clients = this.#clients.size;
    return { path, names: this.#store.names(), clients, counts: this.#store.counts() };
  }

  /** Closes what it holds, and the path. */
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
    const { deposits, others } = manager.takeBack(vars);
    this.#store.restore(deposits);
    for (const name of others) {
      const text = `the service manager kept '${name}', which is not the store's: ignored`;
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
        // It stays readable: look away for a moment, or this would be a busy loop.
        this.#stopAccepting();
        const again = setTimeout(() => this.#accept(), EXHAUSTED_MS).unref();
        this.#stopAccepting = () => clearTimeout(again);
      }
    });
  }

  #welcome(fd: number): void {
    const client = new StoreClient(fd);
    const { clients } = this.#limits;
    if (!client.isTrusted) {
      const error = `only processes of uid ${process.geteuid?.()} and root may use this store`;
      this.#turnAway(client, this.#store.refuse("peer", error));
    } else if (this.#clients.size >= clients && !this.#makeRoom()) {
      const error = `the store has ${clients} clients, its limit`;
      this.#turnAway(client, this.#store.refuse("clients", error));
    } else {
      const id = ++this.#lastClient;
      this.#clients.set(id, client);
      client.watch(() => this.#serve(id, client));
    }
  }

  #turnAway(client: StoreClient, answer: Answer): void {
    client.send(answer);
    client[Symbol.dispose]();
  }

  /** Closes the client that has been silent for longest and holds nothing: it loses nothing. */
  #makeRoom(): boolean {
    let silent: number | null = null;
    let sinceMs = Number.POSITIVE_INFINITY;
    for (const [id, client] of this.#clients) {
      if (client.heardMs >= sinceMs || this.#store.isHolder(id)) continue;
      silent = id;
      sinceMs = client.heardMs;
    }
    if (silent === null) return false;
    const error = `the store has ${this.#limits.clients} clients, its limit, and this one was idle`;
    this.#clients.get(silent)?.send(this.#store.refuse("clients", error));
    this.#close(silent);
    return true;
  }

  /** One message of one client, then it is another's turn. */
  #serve(id: number, client: StoreClient): void {
    const message = client.receive();
    if (message === null) return;
    if (message.data.length === 0) {
      closeAll(message.fds);
      this.#close(id);
      return;
    }
    const answer = this.#answer(id, message);
    const { reply, gone } = answer;
    if (!client.send(answer)) this.#closeSlow(id);
    else if (!reply.ok && FATAL.has(reply.reason)) this.#close(id);
    this.#store.answered();
    for (const holder of gone?.clients ?? []) {
      if (!this.#clients.get(holder)?.tellGone(gone?.name ?? "")) this.#closeSlow(holder);
    }
    this.#arm();
  }

  #closeSlow(id: number): void {
    this.#store.refuse("slow", "it does not read what it is sent");
    this.#close(id);
  }

  #answer(id: number, { data, fds, truncated }: Message): Answer {
    try {
      if (!truncated) {
        const request = decodeRequest(data, fds.length);
        // A connection that the store itself keeps open has no end, and its deposits no time.
        if (fds.some((fd) => leadsTo(fd, this.path))) throw new MalformedError(SELF);
        return this.#store.answer(id, request, fds);
      }
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      closeAll(fds);
      return this.#store.refuse("malformed", `the message is malformed: ${error.message}`);
    }
    closeAll(fds);
    return this.#store.refuse("truncated", "the message is too long, or lost descriptors");
  }

  #close(id: number): void {
    this.#clients.get(id)?.[Symbol.dispose]();
    this.#clients.delete(id);
    this.#store.gone(id);
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const { dueMs } = this.#store;
    if (dueMs === null || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#store.expire();
      this.#arm();
    }, Math.ceil(dueMs)).unref();
  }
}

/** Whether it is a connection to whoever listens on `path`. */
function leadsTo(fd: number, path: string): boolean {
  try {
    return getpeername(fd).equals(libc.sockaddrUnix(path));
  } catch {
    return false; // no socket, or not connected
  }
}

function closeAll(fds: readonly number[]): void {
  for (const fd of fds) libc.close(fd);
}

function managerOf(vars: Readonly<Record<string, string | undefined>>): FdStoreManager {
  const path = vars["NOTIFY_SOCKET"];
  if (path) return new FdStoreManager(path);
  throw new UsageError("--systemd wants a service manager, and NOTIFY_SOCKET is not set");
}
