/** Work that is undone if it fails, and steps that all run. */
import { Owned } from "./owned.ts";

/**
 * Runs `work`. If it throws, runs every undo step it registered, last first, and rethrows; an error
 * of an undo step hides neither the other steps nor the first error.
 */
export function allOrNothing<T>(work: (undo: (step: () => void) => void) => T): T {
  using undone = new Owned();
  return undone.release(work((step) => undone.defer(step)));
}

/** Runs every step, then throws the first error, if any. */
export async function everyStep(steps: Iterable<() => void | Promise<void>>): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
