/** When to look: on bind events at once and shortly after, and once in a while whatever was told. */

import { NotSupportedError } from "../errors.ts";
import { findCgroup2 } from "../host/cgroup.ts";
import { BindEvents } from "./bind_events.ts";

/** How often everything is looked at, whatever was or was not told. */
export const RECONCILE_MS = 1_000;
/**
 * How often at rest, where binds are told of; in between only what commands leave is looked at. What
 * is seen later for it is a listener that closed without anything to migrate.
 */
export const RESTING_MS = 5_000;
/** For so long after anything changed, or a bind was told of, it is no rest: a bind may be long before its listen(). */
const RESTLESS_MS = 10_000;
/** After a bind the listener appears moments later: when to look, ms after the event, at who bound; in the end at everybody. */
const AFTER_BIND_MS = [1, 4, 10, 50] as const;
const ALL_AFTER_BIND_MS = 200;
/** More processes than this are looked at like all others. */
const FEW_PROCESSES = 8;

/** What a bind says who is not to be named. */
const UNNAMED = 0;

/** At these processes, or at everybody. */
export type Looked = ReadonlySet<number> | "all";

/** Calls `look` until it is disposed. */
export class LookScheduler implements Disposable {
  readonly #look: (at: Looked) => void;
  readonly #isQuiet: () => boolean;
  readonly #interval: NodeJS.Timeout;
  #timer: NodeJS.Timeout | undefined;
  /** When to look at whom after binds; whole ms of performance.now(), so that those of many binds are few. */
  readonly #some = new Map<number, ReadonlySet<number>>();
  /** When to look at everybody. */
  #all = Infinity;
  /** Looks of either kind may take no more than half of the time, however many binds there are. */
  readonly #notBefore = { some: 0, all: 0 };
  #lookedAt = 0;
  #restlessUntil = performance.now() + RESTLESS_MS;
  #events: BindEvents | null = null;
  #closed = false;

  /** @param isQuiet nothing has changed that can be told without looking */
  constructor(look: (at: Looked) => void, isQuiet: () => boolean) {
    this.#look = look;
    this.#isQuiet = isQuiet;
    this.#interval = setInterval(() => this.#tick(), RECONCILE_MS);
  }

  /**
   * Looks at binds to `ports` too, and to no others. Without, {@link RECONCILE_MS} is how late a new
   * listener is seen.
   * @throws NotSupportedError without cgroup v2, SysError when the kernel refuses
   */
  listen(ports: Iterable<number>): void {
    if (this.#events !== null) {
      this.#events.setPorts(ports);
      return;
    }
    const cgroup = findCgroup2();
    if (cgroup === null) throw new NotSupportedError("cgroup v2", "no cgroup v2 is mounted");
    this.#events = new BindEvents(cgroup, ports, (pids) => this.#bound(pids));
  }

  /** Looks at everybody in `delayMs` at the latest. */
  soon(delayMs: number): void {
    this.#everybodyBy(performance.now() + delayMs);
    this.#arm();
  }

  /** Something changed: for a while nothing is missed for longer than {@link RECONCILE_MS}. */
  stir(): void {
    this.#restlessUntil = performance.now() + RESTLESS_MS;
  }

  #tick(): void {
    const now = performance.now();
    // Half an interval of grace: ticks are not exact.
    const rested = now - this.#lookedAt >= RESTING_MS - RECONCILE_MS / 2;
    const rests = this.#events !== null && now >= this.#restlessUntil && this.#isQuiet();
    if (!rests || rested) this.#lookNow(true);
  }

  #bound(pids: ReadonlySet<number>): void {
    const now = performance.now();
    this.stir();
    for (const delay of AFTER_BIND_MS) {
      const moment = Math.floor(now + delay);
      this.#some.set(moment, new Set([...(this.#some.get(moment) ?? []), ...pids]));
    }
    this.#everybodyBy(now + ALL_AFTER_BIND_MS);
    this.#arm();
  }

  #everybodyBy(moment: number): void {
    this.#all = Math.min(this.#all, moment);
  }

  /** For the next moment that is due. */
  #arm(): void {
    clearTimeout(this.#timer);
    let next = Math.max(this.#all, this.#notBefore.all);
    for (const moment of this.#some.keys()) {
      next = Math.min(next, Math.max(moment, this.#notBefore.some));
    }
    if (next === Infinity || this.#closed) return;
    this.#timer = setTimeout(() => this.#lookNow(false), Math.max(0, next - performance.now()));
  }

  /** At whom it is time to look. */
  #lookNow(isTime: boolean): void {
    const begin = performance.now();
    const all = isTime || (begin >= this.#all && begin >= this.#notBefore.all);
    const some = all || begin >= this.#notBefore.some ? this.#due(begin) : new Set<number>();
    if (all || some.has(UNNAMED) || some.size > FEW_PROCESSES) {
      if (begin >= this.#all) this.#all = Infinity;
      this.#lookedAt = begin;
      this.#look("all");
      this.#notBefore.all = twiceAsLong(begin);
    } else if (some.size > 0) {
      this.#look(some);
      // It may have come to a look at everybody.
      this.#notBefore.some = twiceAsLong(begin);
      this.#notBefore.all = Math.max(this.#notBefore.all, this.#notBefore.some);
    }
    this.#arm();
  }

  /** Takes those whose moment has come. */
  #due(now: number): ReadonlySet<number> {
    const due = new Set<number>();
    for (const [moment, pids] of this.#some) {
      if (moment > now) continue;
      this.#some.delete(moment);
      for (const pid of pids) due.add(pid);
    }
    return due;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearInterval(this.#interval);
    clearTimeout(this.#timer);
    this.#events?.[Symbol.dispose]();
    this.#events = null;
  }
}

/** What began then and has ended now may be done again then. */
function twiceAsLong(begin: number): number {
  const end = performance.now();
  return end + (end - begin);
}
