/** All or nothing, without DisposableStack (Node 24). */

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
