/** Long work in steps: all at once, or in slices between which the event loop has its turn. */
import { setImmediate as turn } from "node:timers/promises";

/** What a slice may take, ms; its last step comes on top. */
const SLICE_MS = 10;

/** What the steps come to. */
export function atOnce<T>(steps: Iterator<unknown, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** As {@link atOnce}; between two slices anything may happen. */
export async function inSlices<T>(steps: Iterator<unknown, T>): Promise<T> {
  let untilMs = performance.now() + SLICE_MS;
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (performance.now() < untilMs) continue;
    await turn();
    untilMs = performance.now() + SLICE_MS;
  }
}
