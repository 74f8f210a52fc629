/** Which generation a listener that opens is of: by openings and departures alone. Pure. */
import type { Slot } from "./slot.ts";

/** Listeners opened no further apart than this belong to one start of a service. */
export const START_GAP_MS = 1_000;
/** A listener that opens this soon after one of the newest generation left takes its place. */
export const RESPAWN_MS = 10_000;

type Newcomer = Pick<Slot, "openedMs" | "generation">;

/**
 * The generations of a group while newcomers are added, first opened first. Each answer is a few
 * binary searches, however many listeners there are.
 */
export class Generations {
  #empty: boolean;
  #someListen: boolean;
  #newest: number;
  /** When listeners closed whose slot is not taken, ascending. */
  readonly #left: Times;
  /** The same of the newest generation alone. */
  #leftNewest: Times;
  /** For each of {@link #leftNewest}: when the last of it and those after it opened. */
  #lastOpenedFrom: readonly number[];
  /** When those of the newest generation that listen opened, ascending: known ones, and newcomers. */
  #known: Times;
  #joined = new Times([]);

  constructor(slots: readonly Slot[]) {
    this.#empty = slots.length === 0;
    this.#someListen = slots.some(({ closedMs }) => closedMs === null);
    this.#newest = slots.reduce((newest, { generation }) => Math.max(newest, generation), 0);
    this.#left = new Times(slots.flatMap(({ closedMs }) => closedMs ?? []));
    const members = slots.filter(({ generation }) => generation === this.#newest);
    this.#known = new Times(members.flatMap((m) => (m.closedMs === null ? m.openedMs : [])));
    const closed = members
      .flatMap((m) => (m.closedMs === null ? [] : [{ ...m, closedMs: m.closedMs }]))
      .toSorted((a, b) => a.closedMs - b.closedMs);
    this.#leftNewest = new Times(closed.map(({ closedMs }) => closedMs));
    this.#lastOpenedFrom = maximaFrom(closed.map(({ openedMs }) => openedMs));
  }

  /**
   * The generation of a listener that opened at `openedMs`, the first of `arriving` seen together:
   * - they take the places of as many of the newest generation that left shortly before (respawned
   *   workers), if others of the group live on;
   * - it joins the newest generation when that is still starting: its last listener opened
   *   at most START_GAP_MS before, and none of the group has left since;
   * - else a new start of the service begins: a new generation.
   */
  of(openedMs: number, arriving: number): number {
    if (this.#empty) return 1;
    if (this.#someListen && this.#vacancies(openedMs) >= arriving) return this.#newest;
    const lastOpened = Math.max(
      this.#lastOpenedFrom[this.#leftNewest.first] ?? Number.NEGATIVE_INFINITY,
      this.#known.last,
      this.#joined.last,
    );
    const someoneLeft = this.#left.upTo(openedMs) > this.#left.upTo(lastOpened);
    return !someoneLeft && openedMs - lastOpened <= START_GAP_MS ? this.#newest : this.#newest + 1;
  }

  /** Adds one; `before` is the closed listener whose slot it takes, of which there is none closed longer. */
  add({ openedMs, generation }: Newcomer, before?: Slot): void {
    if (before) {
      this.#left.first++;
      if (before.generation === this.#newest) this.#leftNewest.first++;
    }
    if (generation > this.#newest) {
      this.#newest = generation;
      this.#leftNewest = new Times([]);
      this.#lastOpenedFrom = [];
      this.#known = new Times([]);
      this.#joined = new Times([]);
    }
    this.#joined.push(openedMs);
    this.#empty = false;
    this.#someListen = true;
  }

  /** Members of the newest that left less than RESPAWN_MS before and were not replaced yet. */
  #vacancies(openedMs: number): number {
    const from = this.#leftNewest.upTo(openedMs - RESPAWN_MS);
    const left = this.#leftNewest.upTo(openedMs) - from;
    const since = this.#leftNewest.at(from);
    if (left <= 0 || since === undefined) return 0;
    return left - this.#known.since(since) - this.#joined.since(since);
  }
}

/** Moments in ascending order; those before `first` count no more. */
class Times {
  first = 0;
  readonly #sorted: number[];

  constructor(times: readonly number[]) {
    this.#sorted = times.toSorted((a, b) => a - b);
  }

  /** One that is not before the last. */
  push(time: number): void {
    this.#sorted.push(time);
  }

  at(index: number): number | undefined {
    return this.#sorted[index];
  }

  get last(): number {
    return this.#sorted.at(-1) ?? Number.NEGATIVE_INFINITY;
  }

  /** Index of the first that counts and is after `time`. */
  upTo(time: number): number {
    let low = this.first;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sorted[middle] ?? 0) <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** How many are at `time` or after it; milliseconds are whole. */
  since(time: number): number {
    return this.#sorted.length - this.upTo(time - 1);
  }
}

/** For each index the greatest value from there on. */
function maximaFrom(values: readonly number[]): number[] {
  const maxima = [...values];
  for (let i = maxima.length - 2; i >= 0; i--) {
    maxima[i] = Math.max(maxima[i] ?? 0, maxima[i + 1] ?? 0);
  }
  return maxima;
}
