/**
 * Preloaded into a measured process (`node --import`): reports over IPC how long its event loop was
 * blocked, and its CPU time.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";

/** Interval of a timer; its delay is the time the event loop was blocked. */
const RESOLUTION_MS = 1;

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

/** The answer, since the last request. */
export interface Probed {
  /** The longest time the event loop was blocked, ms. */
  readonly blockedMs: number;
  /** CPU time of all threads, ms. */
  readonly cpuMs: number;
}

let before = process.cpuUsage();

/** Every message is a request. */
process.on("message", () => {
  const { user, system } = process.cpuUsage(before);
  const blockedMs = Math.max(0, delay.max / 1e6 - RESOLUTION_MS);
  process.send?.({ blockedMs, cpuMs: (user + system) / 1000 } satisfies Probed);
  delay.reset();
  before = process.cpuUsage();
});
process.channel?.unref();
