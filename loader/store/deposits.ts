/**
 * What the store holds: names, their file descriptors, who is alive of those who deposited or took
 * them, and until when. No sockets, no clock: every step is told the time and says what to close. Pure.
 */
import { StoreRefusedError } from "../errors.ts";
import { MAX_FDS, type PutRequest, type TakeRequest } from "./protocol.ts";

/** A connection to the store, by number. */
export type StoreClient = number;

export interface Limits {
  readonly names: number;
  readonly fds: number;
}

/** What is held under one name. */
export interface Deposit {
  readonly name: string;
  readonly fds: readonly number[];
  readonly shared: boolean;
  readonly timeoutMs: number;
  /** When it was put. */
  readonly putMs: number;
  /** Clients that are alive and deposited it, or took it and the store keeps it for them. */
  readonly holders: ReadonlySet<StoreClient>;
  /** Clients that are alive and took it; one at most unless it is shared. */
  readonly takers: ReadonlySet<StoreClient>;
  /** When the last of all these left; null: one is there. */
  readonly leftMs: number | null;
}

/** Times of any clock that only rises, ms. */
export class Deposits {
  readonly #limits: Limits;
  readonly #timeoutMs: number;
  readonly #deposits = new Map<string, Deposit>();

  /** @param timeoutMs of a name that is put without its own */
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

  /** When the next deposit expires; null: none does before something happens. */
  get dueMs(): number | null {
    const due = this.all.flatMap((it) => (it.leftMs === null ? [] : it.leftMs + it.timeoutMs));
    return due.length > 0 ? Math.min(...due) : null;
  }

  /**
   * `client` deposits `fds`, which are the store's from now on; what they replace is to be closed.
   * A name another live client holds is not replaced, but it can be added to.
   * @throws StoreRefusedError and changes nothing
   */
  put(
    client: StoreClient,
    { name, timeoutMs, shared, add, taken }: Omit<PutRequest, "op">,
    fds: readonly number[],
    nowMs: number,
  ): { readonly replaced: readonly number[] } {
    const before = this.#deposits.get(name);
    const joined = add ? before : undefined;
    if (before && !add && [...before.holders, ...before.takers].some((it) => it !== client)) {
      throw new StoreRefusedError("held", `'${name}' is held by another process that is alive`);
    }
    if (joined && joined.shared !== shared) {
      const how = joined.shared ? "shared" : "not shared";
      throw new StoreRefusedError("held", `'${name}' is ${how}: what is added to it must be too`);
    }
    const takers = new Set([...(joined?.takers ?? []), ...(taken ? [client] : [])]);
    if (taken && !shared && takers.size > 1) this.#refuseTaken(name);
    const kept = joined?.fds ?? [];
    const replaced = joined ? [] : (before?.fds ?? []);
    this.#checkRoom(name, kept.length + fds.length, fds.length - replaced.length);
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

  /** Puts back what a service manager kept while the store was away; nobody holds it yet. */
  restore(deposit: Pick<Deposit, "name" | "fds" | "shared" | "timeoutMs">, nowMs: number): void {
    const nobody = { holders: new Set<StoreClient>(), takers: new Set<StoreClient>() };
    this.#deposits.set(deposit.name, { ...deposit, ...nobody, putMs: nowMs, leftMs: nowMs });
  }

  /**
   * Lends what is held under a name: until the taker confirms, or for good with `keep`, the store
   * has it too, so a taker that dies on the way loses nothing. Of what is shared it gives a copy.
   * @throws StoreRefusedError
   */
  take(client: StoreClient, { name, keep, timeoutMs }: Omit<TakeRequest, "op">): Deposit {
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
   * The taker has them: the store's own are to be closed, unless they are shared.
   * @throws StoreRefusedError
   */
  confirm(client: StoreClient, name: string): readonly number[] {
    const { shared, takers, fds } = this.#require(name);
    if (shared) return [];
    if (!takers.has(client)) {
      throw new StoreRefusedError("absent", `'${name}' was not taken by this client`);
    }
    this.#deposits.delete(name);
    return fds;
  }

  /** Forgets a name, whoever holds it; its descriptors are to be closed. @throws StoreRefusedError */
  drop(name: string): readonly number[] {
    const { fds } = this.#require(name);
    this.#deposits.delete(name);
    return fds;
  }

  /** A client is gone. */
  gone(client: StoreClient, nowMs: number): void {
    for (const deposit of this.all) this.#without(deposit, client, nowMs);
  }

  /** Whether the client holds or has taken anything. */
  isHolder(client: StoreClient): boolean {
    return this.all.some(({ holders, takers }) => holders.has(client) || takers.has(client));
  }

  /** Forgets those whose time is up; their descriptors are to be closed. */
  expire(nowMs: number): readonly Deposit[] {
    const expired = this.all.filter(
      ({ leftMs, timeoutMs }) => leftMs !== null && nowMs >= leftMs + timeoutMs,
    );
    for (const { name } of expired) this.#deposits.delete(name);
    return expired;
  }

  /** The time counts from the moment that the last of holders and takers is gone. */
  #without(deposit: Deposit, client: StoreClient, nowMs: number): void {
    if (!deposit.holders.has(client) && !deposit.takers.has(client)) return;
    const but = (clients: ReadonlySet<StoreClient>) =>
      new Set([...clients].filter((other) => other !== client));
    const [holders, takers] = [but(deposit.holders), but(deposit.takers)];
    const leftMs = holders.size + takers.size === 0 ? nowMs : null;
    this.#deposits.set(deposit.name, { ...deposit, holders, takers, leftMs });
  }

  #require(name: string): Deposit {
    const deposit = this.#deposits.get(name);
    if (deposit) return deposit;
    throw new StoreRefusedError("absent", `the store has nothing named '${name}'`);
  }

  #refuseTaken(name: string): never {
    throw new StoreRefusedError("taken", `'${name}' is taken by another process that is alive`);
  }

  #checkRoom(name: string, ofName: number, more: number): void {
    const { names, fds } = this.#limits;
    if (!this.#deposits.has(name) && this.#deposits.size >= names) {
      throw new StoreRefusedError("names", `the store has ${names} names, its limit`);
    }
    if (this.fdCount + more > fds) {
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
