/** Steps that are undone together, and steps that all run. Replaces DisposableStack (Node 24). */

/** Runs `work`; if it throws, runs the steps it registered, last first, and rethrows. */
export function allOrNothing<T>(work: (undo: (step: () => void) => void) => T): T {
  const steps: (() => void)[] = [];
  try {
    return work((step) => steps.push(step));
  } catch (error) {
    for (const step of steps.reverse()) step();
    throw error;
  }
}

/** Runs every step, one after another. @throws the first error, after all steps have run */
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
