/**
 * The store's state: names, their file descriptors, the clients that hold them, and deadlines. Has
 * no sockets and no clock: callers pass the time, and close the returned descriptors. Pure.
 */
import { StoreRefusedError } from "../errors.ts";
import { MAX_FDS, type PutRequest, type TakeRequest } from "./protocol.ts";

/** The number of a client's connection. */
export type ClientId = number;

export interface Limits {
  /** Names. */
  readonly names: number;
  /** File descriptors in all. */
  readonly fds: number;
}

/** The file descriptors under one name. */
export interface Deposit {
  readonly name: string;
  readonly fds: readonly number[];
  readonly shared: boolean;
  readonly timeoutMs: number;
  /** Time of the last put, ms. */
  readonly putMs: number;
  /** Connected clients that deposited it, or took it with `keep`. */
  readonly holders: ReadonlySet<ClientId>;
  /** Connected clients that took it; at most one unless it is shared. */
  readonly takers: ReadonlySet<ClientId>;
  /** Time at which the last holder and taker disconnected, ms, or null while one is connected. */
  readonly leftMs: number | null;
}

/** All deposits. Times are in ms, of any monotonic clock. */
export class Deposits {
  readonly #limits: Limits;
  readonly #timeoutMs: number;
  readonly #deposits = new Map<string, Deposit>();

  /** @param timeoutMs default timeout of a name */
  constructor(limits: Limits, timeoutMs: number) {
    this.#limits = limits;
    this.#timeoutMs = timeoutMs;
  }

  get all(): readonly Deposit[] {
    return [...this.#deposits.values()];
  }

  get(name: string): Deposit | undefined {
    return this.#deposits.get(name);
  }

  get fdCount(): number {
    return this.all.reduce((sum, { fds }) => sum + fds.length, 0);
  }

  /** Time at which the next deposit expires, ms, or null if every name has a client. */
  get dueMs(): number | null {
    const due = this.all.flatMap((it) => (it.leftMs === null ? [] : it.leftMs + it.timeoutMs));
    return due.length > 0 ? Math.min(...due) : null;
  }

  /**
   * Deposits `fds` of `client` under a name; returns the replaced descriptors, for the caller to
   * close. A name that another client holds cannot be replaced, only added to.
   * @throws StoreRefusedError, without a change
   */
  put(
    client: ClientId,
    { name, timeoutMs, shared, add, taken }: Omit<PutRequest, "op">,
    fds: readonly number[],
    nowMs: number,
  ): { readonly replaced: readonly number[] } {
    const before = this.#deposits.get(name);
    const joined = add ? before : undefined;
    if (before && !add && [...before.holders, ...before.takers].some((it) => it !== client)) {
      throw new StoreRefusedError("held", `'${name}' is held by another process that still runs`);
    }
    if (joined && joined.shared !== shared) {
      const message = joined.shared
        ? `'${name}' is shared: add to it with --shared`
        : `'${name}' is not shared: add to it without --shared`;
      throw new StoreRefusedError("held", message);
    }
    const takers = new Set([...(joined?.takers ?? []), ...(taken ? [client] : [])]);
    if (taken && !shared && takers.size > 1) this.#refuseTaken(name);
    const kept = joined?.fds ?? [];
    const replaced = joined ? [] : (before?.fds ?? []);
    this.#checkLimits(name, kept.length + fds.length, fds.length - replaced.length);
    this.#deposits.set(name, {
      name,
      fds: [...kept, ...fds],
      shared,
      timeoutMs: timeoutMs ?? joined?.timeoutMs ?? this.#timeoutMs,
      putMs: nowMs,
      holders: new Set([...(joined?.holders ?? []), client]),
      takers,
      leftMs: null,
    });
    return { replaced };
  }

  /** Restores a deposit that the service manager kept while the store did not run. */
  restore(deposit: Pick<Deposit, "name" | "fds" | "shared" | "timeoutMs">, nowMs: number): void {
    const none: ReadonlySet<ClientId> = new Set();
    const clients = { holders: none, takers: none };
    this.#deposits.set(deposit.name, { ...deposit, ...clients, putMs: nowMs, leftMs: nowMs });
  }

  /**
   * Lends a deposit: the store keeps its descriptors until the taker confirms, or for good with
   * `keep`, so that a taker killed meanwhile loses nothing. Shared deposits stay with the store.
   * @throws StoreRefusedError
   */
  take(client: ClientId, { name, keep, timeoutMs }: Omit<TakeRequest, "op">): Deposit {
    const deposit = this.#require(name);
    const { shared, takers, holders, leftMs } = deposit;
    if (!shared && [...takers].some((it) => it !== client)) this.#refuseTaken(name);
    const lends = keep || !shared;
    const lent: Deposit = {
      ...deposit,
      timeoutMs: timeoutMs ?? deposit.timeoutMs,
      holders: keep ? new Set([...holders, client]) : holders,
      takers: lends ? new Set([...takers, client]) : takers,
      leftMs: lends ? null : leftMs,
    };
    this.#deposits.set(name, lent);
    return lent;
  }

  /**
   * Ends a lent deposit that has arrived at its taker; returns the store's descriptors, for the
   * caller to close. A shared deposit stays.
   * @throws StoreRefusedError
   */
  confirm(client: ClientId, name: string): readonly number[] {
    const { shared, takers, fds } = this.#require(name);
    if (shared) return [];
    if (!takers.has(client)) {
      throw new StoreRefusedError("absent", `'${name}' was not taken by this client`);
    }
    this.#deposits.delete(name);
    return fds;
  }

  /** Removes a name; returns its descriptors, for the caller to close. @throws StoreRefusedError */
  drop(name: string): readonly number[] {
    const { fds } = this.#require(name);
    this.#deposits.delete(name);
    return fds;
  }

  /** Removes a client from all deposits. A timeout starts when the last client leaves. */
  disconnect(client: ClientId, nowMs: number): void {
    for (const deposit of this.all.filter((it) => isHeldBy(it, client))) {
      const without = (clients: ReadonlySet<ClientId>) =>
        new Set([...clients].filter((other) => other !== client));
      const [holders, takers] = [without(deposit.holders), without(deposit.takers)];
      const leftMs = holders.size + takers.size === 0 ? nowMs : null;
      this.#deposits.set(deposit.name, { ...deposit, holders, takers, leftMs });
    }
  }

  /** Returns whether the client holds or has taken a deposit. */
  isHolder(client: ClientId): boolean {
    return this.all.some((it) => isHeldBy(it, client));
  }

  /** Removes and returns the expired deposits; the caller closes their descriptors. */
  expire(nowMs: number): readonly Deposit[] {
    const expired = this.all.filter(
      ({ leftMs, timeoutMs }) => leftMs !== null && nowMs >= leftMs + timeoutMs,
    );
    for (const { name } of expired) this.#deposits.delete(name);
    return expired;
  }

  #require(name: string): Deposit {
    const deposit = this.#deposits.get(name);
    if (deposit) return deposit;
    throw new StoreRefusedError("absent", `the store has nothing named '${name}'`);
  }

  #refuseTaken(name: string): never {
    throw new StoreRefusedError("taken", `'${name}' is taken by another process that still runs`);
  }

  /** @param added number of descriptors the store would hold in addition */
  #checkLimits(name: string, ofName: number, added: number): void {
    const { names, fds } = this.#limits;
    if (!this.#deposits.has(name) && this.#deposits.size >= names) {
      throw new StoreRefusedError("names", `the store has ${names} names, its limit`);
    }
    if (this.fdCount + added > fds) {
      throw new StoreRefusedError(
        "fds",
        `the store would hold more than ${fds} file descriptors, its limit`,
      );
    }
    if (ofName > MAX_FDS) {
      throw new StoreRefusedError(
        "fds",
        `'${name}' would hold more than ${MAX_FDS} file descriptors`,
      );
    }
  }
}

function isHeldBy({ holders, takers }: Deposit, client: ClientId): boolean {
  return holders.has(client) || takers.has(client);
}
