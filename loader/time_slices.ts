/** Slices of long work, between which the event loop turns. */
import { setImmediate as turn } from "node:timers/promises";

/** Length of a slice, ms; the step under way at its end is finished first. */
export const SLICE_MS = 10;
/** Pause between two slices that require a lock, ms: a command can take it. */
export const SLICE_PAUSE_MS = 1;

/** Lets the event loop turn once a slice; for work of many short steps (bench rows 11 and 12). */
export class TimeSlices {
  #endMs = performance.now() + SLICE_MS;

  /** Call between two steps: lets the event loop turn if the slice is over. */
  async between(): Promise<void> {
    if (performance.now() < this.#endMs) return;
    await turn();
    this.#endMs = performance.now() + SLICE_MS;
  }
}
