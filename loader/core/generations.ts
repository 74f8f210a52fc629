/** The generation of a listener that opens, by openings and departures alone. Pure. */
import type { Slot } from "./slot.ts";

/** Listeners opened no further apart than this belong to one start of a service. */
export const START_GAP_MS = 1_000;
/** A listener that opens within this time of a departure from the newest generation replaces it. */
export const RESPAWN_MS = 10_000;

/** The last generation: a group begins one with each start of its server. */
export const MAX_GENERATION = 2 ** 31;

/** The generations of newcomers, which are given in the order in which they opened. */
export class Generations {
  /** When listeners left, descending; without those up to the newcomer given before. */
  readonly #departures: number[];
  #openedMs = Number.NEGATIVE_INFINITY;
  #generation = 0;

  constructor(slots: readonly Slot[]) {
    this.#departures = slots.flatMap(({ closedMs }) => closedMs ?? []).toSorted((a, b) => b - a);
  }

  /**
   * Returns the generation of a newcomer: that of the newcomer before if both are of one start. So
   * there is one walk over all slots a start, not one a newcomer (tests/unit/plan_scaling.test.ts).
   * @param slots with the newcomers given before
   * @param arriving how many newcomers are left, with this one
   */
  next(slots: Iterable<Slot>, openedMs: number, arriving: number): number {
    let left = false;
    for (; (this.#departures.at(-1) ?? Infinity) <= openedMs; left = true) this.#departures.pop();
    if (left || openedMs - this.#openedMs > START_GAP_MS) {
      this.#generation = generationOf([...slots], openedMs, arriving);
    }
    this.#openedMs = openedMs;
    return this.#generation;
  }
}

/**
 * - Newcomers replace as many listeners of the newest generation that left shortly before
 *   (respawned workers), if other listeners of the group live on.
 * - They join the newest generation while it is starting: its last listener opened at most
 *   START_GAP_MS before, and no listener of the group has left since.
 * - Otherwise a new start of the service begins: a new generation.
 */
function generationOf(slots: readonly Slot[], openedMs: number, arriving: number): number {
  const newest = slots.reduce((max, { generation }) => Math.max(max, generation), 0);
  const members = slots.filter(({ generation }) => generation === newest);
  const someListen = slots.some(({ closedMs }) => closedMs === null);
  if (someListen && vacancies(members, openedMs) >= arriving) return newest;
  const lastMs = members.reduce((max, m) => Math.max(max, m.openedMs), Number.NEGATIVE_INFINITY);
  const someLeft = slots.some(({ closedMs }) => isWithin(closedMs, lastMs, openedMs));
  return !someLeft && openedMs - lastMs <= START_GAP_MS
    ? newest
    : Math.min(newest + 1, MAX_GENERATION);
}

/** Returns how many of these left less than RESPAWN_MS before and have not been replaced. */
function vacancies(members: readonly Slot[], openedMs: number): number {
  const left = members.filter((m) => isWithin(m.closedMs, openedMs - RESPAWN_MS, openedMs));
  const firstMs = left.reduce((min, { closedMs }) => Math.min(min, closedMs ?? min), Infinity);
  const replaced = members.filter((m) => m.closedMs === null && m.openedMs >= firstMs);
  return left.length - replaced.length;
}

/** Whether a time is after the one and not after the other. */
function isWithin(timeMs: number | null, afterMs: number, upToMs: number): boolean {
  return timeMs !== null && timeMs > afterMs && timeMs <= upToMs;
}
