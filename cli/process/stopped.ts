/** Waits for a signal. */
import type { Env } from "../env.ts";

/** Resolves once SIGTERM, SIGINT or SIGHUP has come. */
export function stopped({ stop }: Env): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve();
    stop.addEventListener("abort", () => resolve(), { once: true });
  });
}
