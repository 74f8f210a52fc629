/** All or nothing, and all whatever fails; without DisposableStack (Node 24). */

/** Runs `work`; when it throws, runs the steps it registered, last first, and throws on. */
export function allOrNothing<T>(work: (undo: (step: () => void) => void) => T): T {
  const steps: (() => void)[] = [];
  try {
    return work((step) => steps.push(step));
  } catch (error) {
    for (const step of steps.reverse()) step();
    throw error;
  }
}

/** Runs every step. @throws the first error, when all were tried */
export function everyStep(steps: Iterable<() => void>): void {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
