/** Long work in steps: all at once, or in slices between which the event loop has its turn. */
import { setImmediate as turn } from "node:timers/promises";

/** What a slice may take, ms; its last step comes on top. */
const SLICE_MS = 10;

/** What the steps come to. @param each told what each of them gives */
export function atOnce<S, T>(steps: Iterator<S, T>, each: (given: S) => void = () => {}): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    each(step.value);
  }
}

/** As {@link atOnce}; between two slices anything may happen. */
export async function inSlices<S, T>(
  steps: Iterator<S, T>,
  each: (given: S) => void = () => {},
): Promise<T> {
  let untilMs = performance.now() + SLICE_MS;
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    each(step.value);
    if (performance.now() < untilMs) continue;
    await turn();
    untilMs = performance.now() + SLICE_MS;
  }
}
