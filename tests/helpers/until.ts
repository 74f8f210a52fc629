/** Polls a condition: a test waits for a fact and never for a time. */
import { setTimeout as sleep } from "node:timers/promises";

/** Generous on purpose: it only ends a test that hangs. */
const PATIENCE_MS = 60_000;

/** Resolves with the first value of `probe` that is neither false, null nor undefined. */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  everyMs = 5,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await probe();
    if (value !== false && value !== null && value !== undefined) return value;
    if (Date.now() > deadline)
      throw new Error(`timed out after ${PATIENCE_MS} ms: waited until ${what}`);
    await sleep(everyMs);
  }
}
