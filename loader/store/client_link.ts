/** The connection of a client that outlives a restart of the store: made again when it is needed. */
import { StoreGoneError } from "../errors.ts";
import { StoreConnection } from "./client_connection.ts";

/** How soon a store that went away is looked for again, and again. */
const RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 2_000;

export interface LinkOwner {
  /** The store is to be looked for as soon as it is gone; else the next request does. */
  holdsSomething(): boolean;
  lost(): void;
  /** It was found again, by looking for it. */
  back(): Promise<void>;
  /** As in {@link StoreConnection}. */
  gone(name: string): void;
}

export class StoreLink implements Disposable {
  readonly path: string;
  readonly #owner: LinkOwner;
  #connection: StoreConnection | null = null;
  #connecting: Promise<StoreConnection> | null = null;
  #again: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(path: string, owner: LinkOwner) {
    this.path = path;
    this.#owner = owner;
  }

  /** The connection to ask by. @throws StoreGoneError */
  async use(): Promise<StoreConnection> {
    if (this.#closed) throw new Error("FdStore is closed");
    if (this.#connection?.isOpen) return this.#connection;
    // What is held is put again first, by the one who looks for the store already.
    if (this.#owner.holdsSomething()) throw this.#gone();
    try {
      return await this.connect();
    } catch (cause) {
      throw this.#gone({ cause });
    }
  }

  /** @throws as {@link StoreConnection.open} */
  connect(): Promise<StoreConnection> {
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#again);
    this.#connection?.[Symbol.dispose]();
  }

  async #open(): Promise<StoreConnection> {
    const connection = await StoreConnection.open(this.path, {
      closed: () => {
        if (!this.#owner.holdsSomething()) return;
        this.#owner.lost();
        this.#reconnect(RECONNECT_MS);
      },
      gone: (name) => this.#owner.gone(name),
    });
    if (this.#closed) connection[Symbol.dispose]();
    this.#connection = connection;
    return connection;
  }

  #reconnect(afterMs: number): void {
    if (this.#closed) return;
    this.#again = setTimeout(async () => {
      try {
        await this.connect();
      } catch {
        this.#reconnect(Math.min(2 * afterMs, MAX_RECONNECT_MS));
        return;
      }
      if (!this.#closed) await this.#owner.back();
    }, afterMs).unref();
  }

  #gone(options?: ErrorOptions): StoreGoneError {
    return new StoreGoneError(`the store at ${this.path} is gone`, options);
  }
}
