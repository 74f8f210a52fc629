/** The store without its socket: handles requests, closes file descriptors, and counts. */
import { StoreRefusedError } from "../errors.ts";
import type { EventName, Log } from "../log.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { type ClientId, type Deposit, Deposits, type Limits } from "./deposits.ts";
import { describeFd, sameSocket } from "./describe.ts";
import { PAGE, REASONS, type Reason, type StoreReply, type StoreRequest } from "./protocol.ts";
import type { StoredName } from "./stored_name.ts";
import type { FdStoreManager } from "./systemd_fdstore.ts";

/** Counts of file descriptors and refusals since the start. */
export interface StoreCounts {
  /** Deposited. */
  readonly put: number;
  /** Given to a process. */
  readonly taken: number;
  /** Closed, as no process came for them in time. */
  readonly expired: number;
  /** Closed by a command. */
  readonly dropped: number;
  /** Refused requests, by reason. */
  readonly refused: Readonly<Record<Reason, number>>;
}

/** A reply with its file descriptors, which the store keeps open. */
export interface Answer {
  readonly reply: StoreReply;
  readonly fds: readonly number[];
  /** A name that was closed, and the other clients that held it. */
  readonly gone?: { readonly name: string; readonly clients: readonly ClientId[] };
}

interface StoreParts {
  readonly limits: Limits;
  readonly timeoutMs: number;
  readonly manager: FdStoreManager | null;
  readonly log: Log;
  pidOf(client: ClientId): number;
}

export class Store implements Disposable {
  readonly #parts: StoreParts;
  readonly #deposits: Deposits;
  /** Names with a new timeout that the service manager does not know yet. */
  readonly #newTimeouts = new Set<string>();
  readonly #counts = { put: 0, taken: 0, expired: 0, dropped: 0 };
  readonly #refused = Object.fromEntries(REASONS.map((reason) => [reason, 0])) as Record<
    Reason,
    number
  >;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#deposits = new Deposits(parts.limits, parts.timeoutMs);
  }

  /** Restores deposits that the service manager kept; their timeouts start now. */
  restore(deposits: readonly Pick<Deposit, "name" | "fds" | "shared" | "timeoutMs">[]): void {
    for (const deposit of deposits) {
      this.#deposits.restore(deposit, performance.now());
      this.#logEvent("store_restored", deposit, "restored from the service manager");
    }
  }

  /** Handles a request. The store owns `fds` from now on. */
  answer(client: ClientId, request: StoreRequest, fds: readonly number[]): Answer {
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

  /** Counts a refusal and returns its answer. */
  refuse(reason: Reason, error: string): Answer {
    this.#refused[reason]++;
    return { reply: { ok: false, reason, error }, fds: [] };
  }

  /**
   * Sends new timeouts to the service manager.
   * @requires that the answer was sent: the manager keeps nothing for a moment, but the taker does
   */
  flushTimeouts(): void {
    for (const name of this.#newTimeouts) {
      const deposit = this.#deposits.get(name);
      if (deposit) this.#notifyManager((manager) => manager.keep(deposit));
    }
    this.#newTimeouts.clear();
  }

  isHolder(client: ClientId): boolean {
    return this.#deposits.isHolder(client);
  }

  disconnect(client: ClientId): void {
    this.#deposits.disconnect(client, performance.now());
  }

  /** Time until the next deposit expires, ms, or null if every name has a client. */
  get dueInMs(): number | null {
    const { dueMs } = this.#deposits;
    return dueMs === null ? null : Math.max(0, dueMs - performance.now());
  }

  expire(): void {
    for (const deposit of this.#deposits.expire(performance.now())) {
      this.#forget(deposit.name, deposit.fds);
      this.#counts.expired += deposit.fds.length;
      this.#logEvent("store_expired", deposit, `closed: not taken within ${deposit.timeoutMs} ms`);
    }
  }

  names(): StoredName[] {
    return this.#sorted().map((deposit) => this.#describe(deposit));
  }

  counts(): StoreCounts {
    return { ...this.#counts, refused: { ...this.#refused } };
  }

  /** Closes all deposits; the service manager continues to keep its copies. */
  [Symbol.dispose](): void {
    for (const { name, fds } of this.#deposits.all) {
      this.#deposits.drop(name);
      for (const fd of fds) libc.close(fd);
    }
  }

  #put(client: ClientId, request: StoreRequest & { op: "put" }, received: readonly number[]): void {
    using own = new Owned();
    own.fds(received);
    const present = request.add ? (this.#deposits.get(request.name)?.fds ?? []) : [];
    // After a restart the store may have restored a socket that its depositor adds again.
    const isNew = (fd: number) => !present.some((other) => sameSocket(fd, other));
    const fds = received.filter(isNew);
    const { replaced } = this.#deposits.put(client, request, fds, performance.now());
    own.release(fds);
    for (const fd of received) if (!fds.includes(fd)) libc.close(fd);
    const deposit = this.#deposits.get(request.name);
    if (deposit) this.#notifyManager((manager) => manager.keep(deposit));
    for (const fd of replaced) libc.close(fd);
    this.#counts.put += fds.length;
    this.#counts.dropped += replaced.length;
    const text = `put by process ${this.#parts.pidOf(client)}`;
    this.#logEvent("store_put", { name: request.name, fds }, text);
  }

  #take(client: ClientId, request: StoreRequest & { op: "take" }): Answer {
    const before = this.#deposits.get(request.name)?.timeoutMs;
    const deposit = this.#deposits.take(client, request);
    if (deposit.timeoutMs !== before) this.#newTimeouts.add(deposit.name);
    this.#counts.taken += deposit.fds.length;
    this.#logEvent("store_taken", deposit, `taken by process ${this.#parts.pidOf(client)}`);
    const { fds, shared } = deposit;
    return { reply: { ok: true, fds: fds.length, shared }, fds };
  }

  /** Closes a name: its taker has received it, or it is dropped. */
  #close(client: ClientId, op: "confirm" | "drop", name: string): Answer {
    const before = this.#deposits.get(name);
    const closed =
      op === "confirm" ? this.#deposits.confirm(client, name) : this.#deposits.drop(name);
    if (this.#deposits.get(name)) return done(0); // a shared name stays
    this.#forget(name, closed);
    if (op === "drop") {
      this.#counts.dropped += closed.length;
      this.#logEvent("store_dropped", { name, fds: closed }, "dropped");
    }
    const holders = new Set([...(before?.holders ?? []), ...(before?.takers ?? [])]);
    holders.delete(client);
    return { ...done(closed.length), gone: { name, clients: [...holders] } };
  }

  #forget(name: string, fds: readonly number[]): void {
    this.#notifyManager((manager) => manager.forget(name));
    for (const fd of fds) libc.close(fd);
  }

  /** Updates the service manager; logs a failure, because it must not affect clients. */
  #notifyManager(update: (manager: FdStoreManager) => void): void {
    const { manager, log } = this.#parts;
    if (!manager) return;
    try {
      update(manager);
    } catch (error) {
      const text = `the service manager was not notified: ${(error as Error).message}; a restart loses the change`;
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
    return this.#deposits.all.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  #describe(deposit: Deposit): StoredName {
    const { name, fds, shared, timeoutMs, putMs, leftMs, holders, takers } = deposit;
    const now = performance.now();
    const pids = (clients: Iterable<ClientId>) => [...clients].map((it) => this.#parts.pidOf(it));
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

  #logEvent(event: EventName, { name, fds }: Pick<Deposit, "name" | "fds">, details: string): void {
    const text = `${name} (${fds.length} fd${fds.length === 1 ? "" : "s"}): ${details}`;
    const fields = { name, fds: fds.length };
    this.#parts.log({ level: "info", event, text, fields });
  }
}

function done(fds: number): Answer {
  return { reply: { ok: true, fds }, fds: [] };
}
