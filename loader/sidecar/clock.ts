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
