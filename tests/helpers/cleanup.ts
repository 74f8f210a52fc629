/** Runs deferred steps at the end of a test; {@link Scene} is one. */
export interface Cleanup {
  /** Has `undo` run at the end, in reverse order. */
  defer(undo: () => unknown): void;
}
