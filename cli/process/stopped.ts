/** The end of a command that runs until it is stopped. */
import type { Env } from "../env.ts";

/** Resolves when a signal has asked for it. */
export function stopped({ stop }: Env): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve();
    stop.addEventListener("abort", () => resolve(), { once: true });
  });
}
