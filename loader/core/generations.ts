/**
 * Finds the generation of a listener that opens, from the times of openings and departures. Pure.
 */
import type { Slot } from "./slot.ts";

/** Listeners opened no further apart than this belong to one start of a service. */
export const START_GAP_MS = 1_000;
/** A listener that opens this soon after one of the newest generation left replaces it. */
export const RESPAWN_MS = 10_000;

type Newcomer = Pick<Slot, "openedMs" | "generation">;

/**
 * The generations of a group while newcomers are added in the order of their opening. An answer
 * takes a few binary searches: a walk per newcomer would make a plan quadratic
 * (tests/unit/plan_scaling.test.ts).
 */
export class Generations {
  #empty: boolean;
  #someListen: boolean;
  #newest: number;
  /** Closing times of listeners whose slots are not reused, ascending. */
  readonly #left: Times;
  /** The same for the newest generation. */
  #leftNewest: Times;
  /** For each element of {@link #leftNewest}: the last opening time from there on. */
  #lastOpenedFrom: readonly number[];
  /** Opening times of listeners of the newest generation, ascending: known ones, and newcomers. */
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
   * Returns the generation of a listener that opened at `openedMs`, the first of `arriving`
   * newcomers:
   * - the newest, if as many of it left shortly before (respawned workers) and the group lives on;
   * - the newest, if that is still starting: its last listener opened at most START_GAP_MS before,
   * and
   *   none of the group has left since;
   * - a new one otherwise: the service was started anew.
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

  /**
   * Adds a newcomer.
   * @param before the closed listener whose slot it reuses: the first that closed
   */
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

  /** Returns how many of the newest generation left within RESPAWN_MS and were not replaced. */
  #vacancies(openedMs: number): number {
    const from = this.#leftNewest.upTo(openedMs - RESPAWN_MS);
    const left = this.#leftNewest.upTo(openedMs) - from;
    const since = this.#leftNewest.at(from);
    if (left <= 0 || since === undefined) return 0;
    return left - this.#known.since(since) - this.#joined.since(since);
  }
}

/** Times in ascending order; those before index `first` are ignored. */
class Times {
  first = 0;
  readonly #sorted: number[];

  constructor(times: readonly number[]) {
    this.#sorted = times.toSorted((a, b) => a - b);
  }

  /** Adds a time that is not before the last one. */
  push(time: number): void {
    this.#sorted.push(time);
  }

  at(index: number): number | undefined {
    return this.#sorted[index];
  }

  get last(): number {
    return this.#sorted.at(-1) ?? Number.NEGATIVE_INFINITY;
  }

  /** Returns the index of the first time after `time`. */
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

  /** Returns the number of times at or after `time`, in whole milliseconds. */
  since(time: number): number {
    return this.#sorted.length - this.upTo(time - 1);
  }
}

/** Returns for each index the greatest value from there on. */
function maximaFrom(values: readonly number[]): number[] {
  const maxima = [...values];
  for (let i = maxima.length - 2; i >= 0; i--) {
    maxima[i] = Math.max(maxima[i] ?? 0, maxima[i + 1] ?? 0);
  }
  return maxima;
}
