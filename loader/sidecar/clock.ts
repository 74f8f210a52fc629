/** The time and timers of a sidecar; another one in tests. */
import { boottimeMs } from "../sys/libc.ts";

export interface Clock {
  /** ms; only goes forward. */
  now(): number;
  /** CLOCK_BOOTTIME, ms: the clock of holds. */
  boottimeMs(): number;
  /** Calls back once; returns a function that cancels the call. */
  after(delayMs: number, callback: () => void): () => void;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  boottimeMs,
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Pauses that end early when something happens. */
export class Pause {
  #end = () => {};

  /** Ends the pause, if there is one. */
  end(): void {
    this.#end();
  }

  /** Resolves after this time, or after {@link end}. */
  for(clock: Clock, delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.after(delayMs, resolve);
      this.#end = () => {
        cancel();
        resolve();
      };
    });
  }
}
