/** The client of the fd store, for servers. */

import { parseSpec } from "../core/spec.ts";
import { NoMatchError, StoreGoneError, StoreRefusedError } from "../errors.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import type { Answered } from "./client_connection.ts";
import { StoreLink } from "./client_link.ts";
import { type ListenOptions, listenOn } from "./client_listen.ts";
import { requireName, requireTimeout, type StoreRequest } from "./protocol.ts";
import type { StoredName } from "./stored_name.ts";

/** How descriptors are kept. */
export interface PutOptions {
  /** How long the store keeps the name after its last holder ended, ms; default: the store's. */
  readonly timeoutMs?: number;
  /** Any number of processes may take the descriptors, and the store keeps them. */
  readonly shared?: boolean;
  /** Adds to the descriptors under that name instead of replacing them. */
  readonly add?: boolean;
  /** This process uses them: no other process may take them while it runs. Default false. */
  readonly taken?: boolean;
}

/** How descriptors are taken. */
export interface TakeOptions {
  /** The store keeps the descriptors, too, and this process becomes their depositor. */
  readonly keep?: boolean;
  /** A new timeout, ms; default: unchanged. */
  readonly timeoutMs?: number;
}

/** Reports events of the connection; `text` is a sentence. */
export type StoreNews = (event: "lost" | "back" | "refused" | "gone", text: string) => void;

interface Kept {
  readonly fds: readonly number[];
  readonly options: PutOptions;
}

/**
 * A client of a store. It holds the names that it has put, or taken with `keep`: their timeout does
 * not start before this is closed or the process ends. After a restart of the store it puts them
 * again, from duplicates of their descriptors.
 */
export class FdStore implements Disposable {
  /** The store's socket. */
  readonly path: string;
  readonly #news: StoreNews;
  readonly #kept = new Map<string, Kept>();
  readonly #link: StoreLink;

  private constructor(path: string, news: StoreNews) {
    this.path = path;
    this.#news = news;
    this.#link = new StoreLink(path, {
      holdsNames: () => this.#kept.size > 0,
      lost: () => news("lost", `the store at ${path} is gone; reconnecting`),
      reconnected: () => this.#putAgain(),
      nameGone: (name) => {
        this.#forget(name);
        news("gone", `'${name}' was dropped from the store, or another process took it for good`);
      },
    });
  }

  /** @throws UsageError, NoMatchError, PermissionError, StoreGoneError */
  static async connect(path: string, news: StoreNews = () => {}): Promise<FdStore> {
    const store = new FdStore(path, news);
    await store.#link.connect();
    return store;
  }

  /**
   * Deposits `fds` under a name, in this order. The caller keeps them, too.
   * @throws StoreRefusedError, StoreGoneError, UsageError
   */
  async put(name: string, fds: readonly number[], options: PutOptions = {}): Promise<void> {
    using own = new Owned();
    const copies = fds.map((fd) => own.fd(libc.duplicate(fd)));
    await this.#put(name, fds, options);
    own.release(copies);
    if (options.add)
      this.#keep(name, [...(this.#kept.get(name)?.fds ?? []), ...copies], options, []);
    else this.#keep(name, copies, options);
  }

  /**
   * Takes the descriptors under a name, or returns null if the store has none. Without `keep` the
   * store then closes its own, unless they are shared. The caller owns the returned ones.
   * @throws StoreRefusedError with reason `taken` if another running process took them;
   *   StoreGoneError, UsageError
   */
  async take(name: string, options: TakeOptions = {}): Promise<number[] | null> {
    const { keep = false, timeoutMs = null } = options;
    requireName(name);
    if (timeoutMs !== null) requireTimeout(timeoutMs);
    using own = new Owned();
    try {
      const { fds, reply } = await this.#ask({ op: "take", name, keep, timeoutMs });
      own.fds(fds);
      const shared = "fds" in reply && reply.shared === true;
      if (!keep && !shared) await this.#confirmOrClose(name, fds);
      // After a restart of the store the depositor of a shared name puts it again, not its takers.
      if (keep && !shared) {
        const options = { taken: true, ...(timeoutMs === null ? {} : { timeoutMs }) };
        const copies = fds.map((fd) => own.fd(libc.duplicate(fd)));
        this.#keep(name, own.release(copies), options);
      }
      return own.release([...fds]);
    } catch (error) {
      if (error instanceof StoreRefusedError && error.reason === "absent") return null;
      throw error;
    }
  }

  /** Has the store close its copies of a name that was taken with `keep`. */
  async confirm(name: string): Promise<void> {
    try {
      await this.#ask({ op: "confirm", name });
      this.#forget(name);
    } catch (error) {
      // The store ended, or the name was dropped: this process has the only descriptors.
      if (!(error instanceof StoreGoneError || error instanceof StoreRefusedError)) throw error;
    }
  }

  async #confirmOrClose(name: string, fds: readonly number[]): Promise<void> {
    try {
      await this.confirm(name);
    } catch (error) {
      for (const fd of fds) libc.close(fd);
      throw error;
    }
  }

  /**
   * Returns a TCP listener for `server.listen({ fd })`: that of the store under this name, with
   * its accept queue, or else a new one on `spec` (`:8080`), which is put into the store.
   * @throws UsageError, StoreRefusedError, StoreGoneError, ConflictError, PermissionError
   */
  async listen(
    name: string,
    spec: string,
    options: ListenOptions & Pick<PutOptions, "timeoutMs"> = {},
  ): Promise<number> {
    const where = parseSpec(spec);
    const { timeoutMs } = options;
    const limit = timeoutMs === undefined ? {} : { timeoutMs };
    const taken = await this.take(name, { keep: true, ...limit });
    const [first, ...more] = taken ?? [];
    for (const fd of more) libc.close(fd);
    if (first !== undefined) return first;
    using own = new Owned();
    const fd = own.fd(listenOn(where, options));
    await this.put(name, [fd], { taken: true, ...limit });
    return own.release(fd);
  }

  /**
   * Has the store close all descriptors under a name; returns their number.
   * @throws NoMatchError
   */
  async drop(name: string): Promise<number> {
    try {
      const { reply } = await this.#ask({ op: "drop", name: requireName(name) });
      this.#forget(name);
      return "fds" in reply ? reply.fds : 0;
    } catch (error) {
      if (!(error instanceof StoreRefusedError) || error.reason !== "absent") throw error;
      throw new NoMatchError(error.message, { cause: error });
    }
  }

  /** Returns all names of the store, sorted. */
  async list(): Promise<StoredName[]> {
    const names: StoredName[] = [];
    for (let after: string | null = ""; after !== null; ) {
      const { reply } = await this.#ask({ op: "list", after });
      if (!("names" in reply))
        throw new StoreGoneError(`the server that listens on ${this.path} is not a store`);
      names.push(...reply.names);
      // A page begins behind the one before, so the pages come to an end.
      if (reply.next !== null && reply.next <= after)
        throw new StoreGoneError(`the store at ${this.path} lists the same names again`);
      after = reply.next;
    }
    return names;
  }

  /** Disconnects: the timeout of each held name starts. */
  close(): void {
    this.#link[Symbol.dispose]();
    for (const name of [...this.#kept.keys()]) this.#forget(name);
  }

  /** As {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Puts all held names again; forgets those that another process has taken meanwhile. */
  async #putAgain(): Promise<void> {
    for (const [name, { fds, options }] of [...this.#kept]) {
      try {
        await this.#put(name, fds, options);
      } catch (error) {
        if (error instanceof StoreGoneError) return; // the link reconnects
        this.#forget(name);
        const why = error instanceof Error ? error.message : String(error);
        this.#news("refused", `the restarted store at ${this.path} refused '${name}': ${why}`);
      }
    }
    this.#news("back", `the store at ${this.path} is back`);
  }

  async #ask(request: StoreRequest, fds: readonly number[] = []): Promise<Answered> {
    return (await this.#link.use()).request(request, fds);
  }

  async #put(name: string, fds: readonly number[], options: PutOptions): Promise<void> {
    const { timeoutMs = null, shared = false, add = false, taken = false } = options;
    requireName(name);
    if (timeoutMs !== null) requireTimeout(timeoutMs);
    await this.#ask({ op: "put", name, timeoutMs, shared, add, taken }, fds);
  }

  #keep(
    name: string,
    fds: readonly number[],
    options: PutOptions,
    replaced: readonly number[] = this.#kept.get(name)?.fds ?? [],
  ): void {
    for (const fd of replaced) libc.close(fd);
    this.#kept.set(name, { fds, options });
  }

  #forget(name: string): void {
    for (const fd of this.#kept.get(name)?.fds ?? []) libc.close(fd);
    this.#kept.delete(name);
  }
}
