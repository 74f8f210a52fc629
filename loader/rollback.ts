/** Work that is undone if it fails, and steps that all run; DisposableStack is in Node 24. */
/** Runs `work`. If it throws, runs the undo steps it registered, last first, and rethrows. */

export function allOrNothing<T>(work: (undo: (step: () => void) => void) => T): T {
  const steps: (() => void)[] = [];
  try {
    return work((step) => steps.push(step));
  } catch (error) {
    for (const step of steps.reverse()) step();
    throw error;
  }
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
