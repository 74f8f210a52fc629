/** Preloaded into a process that is measured (`node --import`): says over IPC how long its event loop was blocked, and what it cost. */
import { monitorEventLoopDelay } from "node:perf_hooks";

/** A timer that is due so often, ms: what it is late by is what the loop was blocked. */
const RESOLUTION_MS = 1;

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

/** Since it was asked last. */
export interface Probed {
  /** The longest that the event loop was blocked, ms. */
  readonly blockedMs: number;
  /** Time on a CPU, all threads, ms. */
  readonly cpuMs: number;
}

let before = process.cpuUsage();

/** Any message asks. */
process.on("message", () => {
  const { user, system } = process.cpuUsage(before);
  const blockedMs = Math.max(0, delay.max / 1e6 - RESOLUTION_MS);
  process.send?.({ blockedMs, cpuMs: (user + system) / 1000 } satisfies Probed);
  delay.reset();
  before = process.cpuUsage();
});
process.channel?.unref();
