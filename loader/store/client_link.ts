/** A client's connection that survives a restart of the store: it reconnects with back-off. */
import { StoreGoneError } from "../errors.ts";
import { StoreConnection } from "./client_connection.ts";

/** The first and the longest delay before reconnecting, ms. */
const RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 2_000;

interface LinkOwner {
  /** True if the link reconnects by itself when it is lost; otherwise the next request does. */
  holdsNames(): boolean;
  lost(): void;
  /** The link has reconnected by itself. */
  reconnected(): Promise<void>;
  /** Another client dropped a name that this one holds, or took it for good. */
  nameGone(name: string): void;
}

export class StoreLink implements Disposable {
  readonly path: string;
  readonly #owner: LinkOwner;
  #connection: StoreConnection | null = null;
  #connecting: Promise<StoreConnection> | null = null;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(path: string, owner: LinkOwner) {
    this.path = path;
    this.#owner = owner;
  }

  /** Returns the open connection, reconnecting if necessary. @throws StoreGoneError */
  async use(): Promise<StoreConnection> {
    if (this.#isClosed) throw new Error("FdStore is closed");
    if (this.#connection?.isOpen) return this.#connection;
    // The pending reconnection deposits the held names again before any other request.
    if (this.#owner.holdsNames()) throw this.#goneError();
    try {
      return await this.connect();
    } catch (cause) {
      throw this.#goneError({ cause });
    }
  }

  /** Connects, or joins a connection attempt. @throws as {@link StoreConnection.open} */
  connect(): Promise<StoreConnection> {
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#connection?.[Symbol.dispose]();
  }

  async #open(): Promise<StoreConnection> {
    const connection = await StoreConnection.open(this.path, {
      closed: () => {
        if (!this.#owner.holdsNames()) return;
        this.#owner.lost();
        this.#reconnect(RECONNECT_MS);
      },
      nameGone: (name) => this.#owner.nameGone(name),
    });
    if (this.#isClosed) connection[Symbol.dispose]();
    this.#connection = connection;
    return connection;
  }

  #reconnect(delayMs: number): void {
    if (this.#isClosed) return;
    this.#retry = setTimeout(async () => {
      try {
        await this.connect();
      } catch {
        this.#reconnect(Math.min(2 * delayMs, MAX_RECONNECT_MS));
        return;
      }
      if (!this.#isClosed) await this.#owner.reconnected();
    }, delayMs).unref();
  }

  #goneError(options?: ErrorOptions): StoreGoneError {
    return new StoreGoneError(`the store at ${this.path} is gone`, options);
  }
}
