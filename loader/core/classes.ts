/**
 * Settings classes of a group: equal options share a number for as long as a slot has them. Pure.
 */
import { MAX_CLASSES } from "./abi.ts";
import type { Slot } from "./slot.ts";

type Held = Pick<Slot, "optionsDigest" | "class">;

/** Counts the slots of each class, so that finding a class needs no walk over the slots. */
export class Classes {
  readonly #byDigest = new Map<bigint, { class: number; slots: number }>();
  readonly #slots = new Array<number>(MAX_CLASSES).fill(0);

  constructor(slots: Iterable<Held>) {
    for (const slot of slots) this.add(slot);
  }

  /** Returns the class of a digest; 0 if the options are unknown or no number is left. */
  of(optionsDigest: bigint): number {
    if (optionsDigest === 0n) return 0;
    const equal = this.#byDigest.get(optionsDigest);
    if (equal) return equal.class;
    const free = this.#slots.findIndex((slots, number) => number > 0 && slots === 0);
    return Math.max(0, free);
  }

  add({ optionsDigest, class: number }: Held): void {
    if (number === 0) return;
    const equal = this.#byDigest.get(optionsDigest) ?? { class: number, slots: 0 };
    equal.slots++;
    this.#byDigest.set(optionsDigest, equal);
    this.#slots[number] = (this.#slots[number] ?? 0) + 1;
  }

  remove({ optionsDigest, class: number }: Held): void {
    if (number === 0) return;
    this.#slots[number] = (this.#slots[number] ?? 0) - 1;
    const equal = this.#byDigest.get(optionsDigest);
    if (equal && --equal.slots === 0) this.#byDigest.delete(optionsDigest);
  }
}
