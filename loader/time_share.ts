/**
 * Limits some kind of work to a share of the time. Pure: methods take the time, ms of any clock that
 * only goes forward.
 */
export class TimeShare {
  readonly #share: number;
  #availableMs = Number.NEGATIVE_INFINITY;

  /** @param share between 0 and 1 */
  constructor(share: number) {
    this.#share = share;
  }

  /** Work that took this long has ended. */
  spend(tookMs: number, endedMs: number): void {
    this.#availableMs = Math.max(this.#availableMs, endedMs - tookMs) + tookMs / this.#share;
  }

  /** When all work so far has taken no more than its share. */
  get availableMs(): number {
    return this.#availableMs;
  }
}
