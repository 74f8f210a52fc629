/** When to look: on bind events at once and shortly after, and once in a while whatever was told. */
import { findCgroup2 } from "./cgroup.ts";
import { NotSupportedError } from "./errors.ts";
import { BindEvents } from "./events.ts";

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

/** At these processes, or at everybody. */
export type Looked = ReadonlySet<number> | "all";

/** Calls `look` until it is disposed. */
export class Watch implements Disposable {
  readonly #look: (at: Looked) => void;
  readonly #isQuiet: () => boolean;
  readonly #interval: NodeJS.Timeout;
  #timer: NodeJS.Timeout | undefined;
  /** When to look after binds, and at whom; whole ms of performance.now(), so that those of many binds are few. */
  readonly #moments = new Map<number, Looked>();
  /** When to look as was asked for; null: it was not. */
  #asked: number | null = null;
  /** Looks may take no more than half of the time, however many binds there are. */
  #notBefore = 0;
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

  /** Looks in `delayMs` at the latest. */
  soon(delayMs: number): void {
    const at = performance.now() + delayMs;
    if (this.#asked !== null && this.#asked <= at) return;
    this.#asked = at;
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
    if (!rests || rested) this.#lookNow("all");
  }

  #bound(pids: ReadonlySet<number>): void {
    const now = performance.now();
    this.stir();
    for (const delay of AFTER_BIND_MS) this.#plan(now + delay, pids.has(0) ? "all" : pids);
    const planned = [...this.#moments.values()].includes("all");
    if (!planned) this.#plan(now + ALL_AFTER_BIND_MS, "all");
    this.#arm();
  }

  #plan(atMs: number, at: Looked): void {
    const moment = Math.floor(atMs);
    this.#moments.set(moment, together(this.#moments.get(moment) ?? NOBODY, at));
  }

  /** For the next moment that is due. */
  #arm(): void {
    clearTimeout(this.#timer);
    let next = this.#asked ?? Infinity;
    for (const moment of this.#moments.keys()) next = Math.min(next, moment);
    if (next === Infinity || this.#closed) return;
    const waitMs = Math.max(next, this.#notBefore) - performance.now();
    this.#timer = setTimeout(() => this.#lookNow(NOBODY), Math.max(0, waitMs));
  }

  /** At these, and at whom it is time to look. */
  #lookNow(at: Looked): void {
    const begin = performance.now();
    let due = at;
    for (const [moment, those] of this.#moments) {
      if (moment > begin) continue;
      this.#moments.delete(moment);
      due = together(due, those);
    }
    if (this.#asked !== null && this.#asked <= begin) {
      this.#asked = null;
      due = "all";
    }
    if (due === "all") this.#lookedAt = begin;
    if (due === "all" || due.size > 0) this.#look(due);
    const end = performance.now();
    this.#notBefore = end + (end - begin);
    this.#arm();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearInterval(this.#interval);
    clearTimeout(this.#timer);
    this.#events?.[Symbol.dispose]();
    this.#events = null;
  }
}

const NOBODY: Looked = new Set();

function together(a: Looked, b: Looked): Looked {
  if (a === "all" || b === "all") return "all";
  const both = new Set([...a, ...b]);
  return both.size > FEW_PROCESSES ? "all" : both;
}
