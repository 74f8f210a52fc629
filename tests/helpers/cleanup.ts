/** Runs deferred steps at the end of a test; {@link Scene} is one. */
export interface Cleanup {
  /** Runs `undo` at the end; the last deferred step runs first. */
  defer(undo: () => unknown): void;
}
