/** The fd store as servers use it. */

import { parseSpec, type Spec } from "../core/spec.ts";
import { NoMatchError, StoreGoneError, StoreRefusedError } from "../errors.ts";
import * as libc from "../sys/libc.ts";
import type { Answered } from "./client_connection.ts";
import { StoreLink } from "./client_link.ts";
import { type ListenOptions, listenOn } from "./client_listen.ts";
import { requireName, requireTimeout, type StoredName, type StoreRequest } from "./protocol.ts";

export interface PutOptions {
  /** Kept so long after the last depositor is gone, ms; default: the store's own. */
  readonly timeoutMs?: number;
  /** Any number of processes may take them, and the store keeps them. */
  readonly shared?: boolean;
  /** Adds to what others have put under that name, instead of replacing it. */
  readonly add?: boolean;
  /** This process uses them: nobody else may take them while it lives. Default: anybody may. */
  readonly taken?: boolean;
}

export interface TakeOptions {
  /** The store keeps them too, and this process is their depositor from now on. */
  readonly keep?: boolean;
  readonly timeoutMs?: number;
}

/** What happens to the connection; `text` is a sentence. */
export type StoreNews = (event: "lost" | "back" | "refused" | "gone", text: string) => void;

interface Kept {
  readonly fds: readonly number[];
  readonly options: PutOptions;
}

/**
 * A process at a store. What it has put, or taken with `keep`, it holds: the store's time does not
 * run until this is closed or the process is gone. When the store is restarted meanwhile, it is put
 * there again; for that a second descriptor of each is kept here.
 */
export class FdStore implements Disposable {
  readonly path: string;
  readonly #news: StoreNews;
  readonly #kept = new Map<string, Kept>();
  readonly #link: StoreLink;

  private constructor(path: string, news: StoreNews) {
    this.path = path;
    this.#news = news;
    this.#link = new StoreLink(path, {
      holdsSomething: () => this.#kept.size > 0,
      lost: () => news("lost", `the store at ${path} is gone; looking for it again`),
      back: () => this.#putAgain(),
      gone: (name) => {
        this.#forget(name);
        news("gone", `'${name}' was dropped from the store, or taken for good by another`);
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
   * Deposits `fds` under a name, in this order. They stay the caller's too.
   * @throws StoreRefusedError, StoreGoneError, UsageError
   */
  async put(name: string, fds: readonly number[], options: PutOptions = {}): Promise<void> {
    await this.#put(name, fds, options);
    const copies = fds.map(libc.duplicate);
    if (options.add)
      this.#keep(name, [...(this.#kept.get(name)?.fds ?? []), ...copies], options, []);
    else this.#keep(name, copies, options);
  }

  /**
   * What the store has under a name, or null. Without `keep` the store has it no more (unless it
   * is shared). The caller owns the descriptors.
   * @throws StoreRefusedError `taken` by another process that is alive; StoreGoneError, UsageError
   */
  async take(name: string, options: TakeOptions = {}): Promise<number[] | null> {
    const { keep = false, timeoutMs = null } = options;
    requireName(name);
    if (timeoutMs !== null) requireTimeout(timeoutMs);
    try {
      const { fds, reply } = await this.#ask({
        op: "take",
        name,
        keep,
        timeoutMs,
      });
      const shared = "fds" in reply && reply.shared === true;
      if (!keep && !shared) await this.confirm(name);
      // Who has put what is shared puts it again; each of its takers would be one too many.
      if (keep && !shared) {
        const options = { taken: true, ...(timeoutMs === null ? {} : { timeoutMs }) };
        this.#keep(name, fds.map(libc.duplicate), options);
      }
      return [...fds];
    } catch (error) {
      if (error instanceof StoreRefusedError && error.reason === "absent") return null;
      throw error;
    }
  }

  /** What was taken with `keep` is this process's alone from now on: the store closes its own. */
  async confirm(name: string): Promise<void> {
    try {
      await this.#ask({ op: "confirm", name });
      this.#forget(name);
    } catch (error) {
      // Killed in this moment, or dropped: what has arrived here is all there is of it.
      if (!(error instanceof StoreGoneError || error instanceof StoreRefusedError)) throw error;
    }
  }

  /**
   * One TCP listener, for `server.listen({ fd })`: what the store has under that name, with all that
   * waits in its queue; when it has nothing, one that listens on `spec`, put there.
   */
  async listen(
    name: string,
    spec: Spec | string,
    options: ListenOptions & Pick<PutOptions, "timeoutMs"> = {},
  ): Promise<number> {
    const where = typeof spec === "string" ? parseSpec(spec) : spec;
    const { timeoutMs } = options;
    const limit = timeoutMs === undefined ? {} : { timeoutMs };
    const taken = await this.take(name, { keep: true, ...limit });
    const [first, ...more] = taken ?? [];
    for (const fd of more) libc.close(fd);
    if (first !== undefined) return first;
    const fd = listenOn(where, options);
    try {
      await this.put(name, [fd], { taken: true, ...limit });
      return fd;
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  }

  /** Has the store close what is under a name, whoever holds it; how many that were. @throws NoMatchError */
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

  /** What the store has, by name. */
  async list(): Promise<StoredName[]> {
    const names: StoredName[] = [];
    for (let after: string | null = ""; after !== null; ) {
      const { reply } = await this.#ask({ op: "list", after });
      if (!("names" in reply))
        throw new StoreGoneError(`what listens on ${this.path} is not a store`);
      names.push(...reply.names);
      after = reply.next;
    }
    return names;
  }

  /** Ends it: the time of what it held runs from now on. */
  close(): void {
    this.#link[Symbol.dispose]();
    for (const name of [...this.#kept.keys()]) this.#forget(name);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Another process may have taken a name meanwhile: then it is that one's. */
  async #putAgain(): Promise<void> {
    for (const [name, { fds, options }] of [...this.#kept]) {
      try {
        await this.#put(name, fds, options);
      } catch (error) {
        if (error instanceof StoreGoneError) return; // it is looked for again already
        this.#forget(name);
        const why = error instanceof Error ? error.message : String(error);
        this.#news("refused", `the store at ${this.path} is back, without '${name}': ${why}`);
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
