/** Preloaded into a process that is measured (`node --import`): says over IPC how long its event loop was blocked. */
import { monitorEventLoopDelay } from "node:perf_hooks";

/** A timer that is due so often, ms: what it is late by is what the loop was blocked. */
const RESOLUTION_MS = 1;

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

/** Any message asks: the longest since the last one, ms. */
process.on("message", () => {
  process.send?.(Math.max(0, delay.max / 1e6 - RESOLUTION_MS));
  delay.reset();
});
process.channel?.unref();
