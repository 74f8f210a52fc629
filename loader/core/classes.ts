/**
 * Settings classes of a group: equal options share a number for as long as a slot has them. Pure.
 */
import { MAX_CLASSES } from "./abi.ts";
import type { Slot } from "./slot.ts";

type Member = Pick<Slot, "optionsDigest" | "class">;

/** Each class with the number of its slots, so that a lookup does not walk them. */
export class Classes {
  readonly #classes = Array.from({ length: MAX_CLASSES }, () => ({ optionsDigest: 0n, slots: 0 }));

  constructor(slots: Iterable<Member>) {
    for (const slot of slots) this.add(slot);
  }

  /** Returns the class of these options; 0 if they are not known or no number is free. */
  of(optionsDigest: bigint): number {
    if (optionsDigest === 0n) return 0;
    const equal = this.#classes.findIndex(
      (one) => one.slots > 0 && one.optionsDigest === optionsDigest,
    );
    if (equal > 0) return equal;
    return Math.max(
      0,
      this.#classes.findIndex(({ slots }, number) => number > 0 && slots === 0),
    );
  }

  add({ optionsDigest, class: number }: Member): void {
    const one = this.#classes[number];
    if (number === 0 || !one) return;
    one.optionsDigest = optionsDigest;
    one.slots++;
  }

  remove({ class: number }: Pick<Member, "class">): void {
    const one = this.#classes[number];
    if (number > 0 && one) one.slots--;
  }
}
