/** The store without its socket: carries out requests, closes what is to be closed, and counts. */
import { StoreRefusedError } from "../errors.ts";
import type { Log } from "../log.ts";
import * as libc from "../sys/libc.ts";
import { type Deposit, Deposits, type Limits, type StoreClient } from "./deposits.ts";
import { describeFd, sameSocket } from "./describe.ts";
import {
  PAGE,
  REASONS,
  type Reason,
  type StoredName,
  type StoreReply,
  type StoreRequest,
} from "./protocol.ts";
import type { FdStoreManager } from "./systemd_fdstore.ts";

/** File descriptors since the start, and refusals. */
export interface StoreCounts {
  readonly put: number;
  readonly taken: number;
  readonly expired: number;
  readonly dropped: number;
  readonly refused: Readonly<Record<Reason, number>>;
}

/** A reply, and the descriptors that go with it; they stay the store's. */
export interface Answer {
  readonly reply: StoreReply;
  readonly fds: readonly number[];
  /** Others who held a name that is gone now. */
  readonly gone?: { readonly name: string; readonly clients: readonly StoreClient[] };
}

export interface StoreParts {
  readonly limits: Limits;
  readonly timeoutMs: number;
  readonly manager: FdStoreManager | null;
  readonly log: Log;
  pidOf(client: StoreClient): number;
}

export class Store implements Disposable {
  readonly #parts: StoreParts;
  readonly #deposits: Deposits;
  /** Names whose timeout the service manager does not know yet. */
  readonly #changed = new Set<string>();
  readonly #counts = { put: 0, taken: 0, expired: 0, dropped: 0 };
  readonly #refused = Object.fromEntries(REASONS.map((reason) => [reason, 0])) as Record<
    Reason,
    number
  >;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#deposits = new Deposits(parts.limits, parts.timeoutMs);
  }

  /** What the manager kept; from now on the time runs. */
  restore(deposits: readonly Pick<Deposit, "name" | "fds" | "shared" | "timeoutMs">[]): void {
    for (const deposit of deposits) {
      this.#deposits.restore(deposit, performance.now());
      this.#say("restored", deposit, "given back by the service manager");
    }
  }

  /** Carries out a request; `fds` are the store's from now on. */
  answer(client: StoreClient, request: StoreRequest, fds: readonly number[]): Answer {
    try {
      if (request.op === "list") return { reply: this.#page(request.after), fds: [] };
      if (request.op === "put") {
        this.#put(client, request, fds);
        return done(fds.length);
      }
      if (request.op === "take") return this.#take(client, request);
      return this.#close(client, request.op, request.name);
    } catch (error) {
      if (!(error instanceof StoreRefusedError)) throw error;
      return this.refuse(error.reason as Reason, error.message);
    }
  }

  /** Counts a refusal, and says it. */
  refuse(reason: Reason, error: string): Answer {
    this.#refused[reason]++;
    return { reply: { ok: false, reason, error }, fds: [] };
  }

  /**
   * To be called when an answer was sent. A changed timeout is told to the service manager only
   * then: it has nothing for a moment, and by now the taker has.
   */
  answered(): void {
    for (const name of this.#changed) {
      const deposit = this.#deposits.get(name);
      if (deposit) this.#tell((manager) => manager.keep(deposit));
    }
    this.#changed.clear();
  }

  isHolder(client: StoreClient): boolean {
    return this.#deposits.isHolder(client);
  }

  gone(client: StoreClient): void {
    this.#deposits.gone(client, performance.now());
  }

  /** In how many ms something expires; null: nothing will. */
  get dueMs(): number | null {
    const { dueMs } = this.#deposits;
    return dueMs === null ? null : Math.max(0, dueMs - performance.now());
  }

  expire(): void {
    for (const deposit of this.#deposits.expire(performance.now())) {
      this.#forget(deposit.name, deposit.fds);
      this.#counts.expired += deposit.fds.length;
      this.#say("expired", deposit, `nobody took it within ${deposit.timeoutMs} ms: closed`);
    }
  }

  names(): StoredName[] {
    return this.#sorted().map((deposit) => this.#describe(deposit));
  }

  counts(): StoreCounts {
    return { ...this.#counts, refused: { ...this.#refused } };
  }

  /** Closes everything; what a service manager keeps it goes on keeping. */
  [Symbol.dispose](): void {
    for (const { name, fds } of this.#deposits.all) {
      this.#deposits.drop(name);
      for (const fd of fds) libc.close(fd);
    }
  }

  #put(
    client: StoreClient,
    request: StoreRequest & { op: "put" },
    received: readonly number[],
  ): void {
    const there = request.add ? (this.#deposits.get(request.name)?.fds ?? []) : [];
    // A depositor comes back to a store that was restarted, and that had it kept.
    const [fds, again] = partition(received, (fd) => !there.some((other) => sameSocket(fd, other)));
    for (const fd of again) libc.close(fd);
    let replaced: readonly number[];
    try {
      ({ replaced } = this.#deposits.put(client, request, fds, performance.now()));
    } catch (error) {
      for (const fd of fds) libc.close(fd);
      throw error;
    }
    const deposit = this.#deposits.get(request.name);
    if (deposit) this.#tell((manager) => manager.keep(deposit));
    for (const fd of replaced) libc.close(fd);
    this.#counts.put += fds.length;
    this.#counts.dropped += replaced.length;
    this.#say("put", { name: request.name, fds }, `put by process ${this.#parts.pidOf(client)}`);
  }

  #take(client: StoreClient, request: StoreRequest & { op: "take" }): Answer {
    const before = this.#deposits.get(request.name)?.timeoutMs;
    const deposit = this.#deposits.take(client, request);
    if (deposit.timeoutMs !== before) this.#changed.add(deposit.name);
    this.#counts.taken += deposit.fds.length;
    this.#say("taken", deposit, `taken by process ${this.#parts.pidOf(client)}`);
    const { fds, shared } = deposit;
    return { reply: { ok: true, fds: fds.length, shared }, fds };
  }

  /** A name ends: its taker has it, or it is dropped. */
  #close(client: StoreClient, op: "confirm" | "drop", name: string): Answer {
    const before = this.#deposits.get(name);
    const closed =
      op === "confirm" ? this.#deposits.confirm(client, name) : this.#deposits.drop(name);
    if (this.#deposits.get(name)) return done(0); // shared: it stays
    this.#forget(name, closed);
    if (op === "drop") {
      this.#counts.dropped += closed.length;
      this.#say("dropped", { name, fds: closed }, "dropped");
    }
    const holders = new Set([...(before?.holders ?? []), ...(before?.takers ?? [])]);
    holders.delete(client);
    return { ...done(closed.length), gone: { name, clients: [...holders] } };
  }

  #forget(name: string, fds: readonly number[]): void {
    this.#tell((manager) => manager.forget(name));
    for (const fd of fds) libc.close(fd);
  }

  /** A service manager that cannot be reached is no reason to refuse anybody. */
  #tell(what: (manager: FdStoreManager) => void): void {
    const { manager, log } = this.#parts;
    if (!manager) return;
    try {
      what(manager);
    } catch (error) {
      const text = `the service manager was not told, a restart would lose it: ${(error as Error).message}`;
      log({ level: "warn", event: "warning", text, fields: {} });
    }
  }

  #page(after: string): StoreReply {
    const names: StoredName[] = [];
    let size = 0;
    for (const deposit of this.#sorted().filter(({ name }) => name > after)) {
      if (size > PAGE) return { ok: true, names, next: names.at(-1)?.name ?? null };
      const name = this.#describe(deposit);
      names.push(name);
      size += JSON.stringify(name).length;
    }
    return { ok: true, names, next: null };
  }

  #sorted(): Deposit[] {
    return [...this.#deposits.all].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #describe(deposit: Deposit): StoredName {
    const { name, fds, shared, timeoutMs, putMs, leftMs, holders, takers } = deposit;
    const now = performance.now();
    const pids = (clients: Iterable<StoreClient>) =>
      [...clients].map((it) => this.#parts.pidOf(it));
    return {
      name,
      fds: fds.map(describeFd),
      shared,
      timeoutMs,
      holders: pids(holders),
      takers: pids(takers),
      ageMs: Math.round(now - putMs),
      leftMs: leftMs === null ? null : Math.max(0, Math.round(leftMs + timeoutMs - now)),
    };
  }

  #say(event: string, { name, fds }: Pick<Deposit, "name" | "fds">, what: string): void {
    const text = `${name} (${fds.length} fd${fds.length === 1 ? "" : "s"}): ${what}`;
    const fields = { name, fds: fds.length };
    this.#parts.log({ level: "info", event: `store_${event}`, text, fields });
  }
}

function done(fds: number): Answer {
  return { reply: { ok: true, fds }, fds: [] };
}

function partition(fds: readonly number[], test: (fd: number) => boolean): [number[], number[]] {
  return [fds.filter(test), fds.filter((fd) => !test(fd))];
}
