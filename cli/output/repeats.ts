/** Filters problems of a poll that were reported before. Pure. */

/** Passes each problem on once, and again only after it was absent from a poll. */
export class RepeatFilter {
  #last: ReadonlySet<string> = new Set();

  /** Returns the problems of this poll that the last one did not have, each once. */
  newIn(problems: readonly string[]): string[] {
    const before = this.#last;
    this.#last = new Set(problems);
    return [...this.#last].filter((problem) => !before.has(problem));
  }
}
