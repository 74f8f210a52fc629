/** Exponential back-off for subjects that fail, by name. Pure: every method takes the time, ms. */

export interface BackOffTimes {
  /** Delay after the first failure, which doubles with each further one. */
  readonly firstMs: number;
  readonly longestMs: number;
  /** Delay if the subject has changed since it failed, so that a change is tried soon. */
  readonly changedMs: number;
}

interface Failure {
  /** What the attempt was made with; compared by identity. */
  readonly seen: unknown;
  readonly failedMs: number;
  readonly delayMs: number;
}

export class BackOff {
  readonly #times: BackOffTimes;
  readonly #failures = new Map<string, Failure>();

  constructor(times: BackOffTimes) {
    this.#times = times;
  }

  /** Returns whether the subject may be tried: it has not failed, or not lately. */
  isDue(name: string, seen: unknown, nowMs: number): boolean {
    const failure = this.#failures.get(name);
    if (failure === undefined) return true;
    const { changedMs } = this.#times;
    const delayMs = seen === failure.seen ? failure.delayMs : Math.min(changedMs, failure.delayMs);
    return nowMs >= failure.failedMs + delayMs;
  }

  /** An attempt has failed. */
  fail(name: string, seen: unknown, nowMs: number): void {
    const { firstMs, longestMs } = this.#times;
    const before = this.#failures.get(name);
    const delayMs = before === undefined ? firstMs : Math.min(2 * before.delayMs, longestMs);
    this.#failures.set(name, { seen, failedMs: nowMs, delayMs });
  }

  /** Makes every subject due. The delay after its next failure is the next one all the same. */
  makeDue(): void {
    for (const [name, failure] of this.#failures) {
      this.#failures.set(name, { ...failure, failedMs: Number.NEGATIVE_INFINITY });
    }
  }

  /** An attempt has succeeded, or the subject is gone. */
  settle(name: string): void {
    this.#failures.delete(name);
  }
}
