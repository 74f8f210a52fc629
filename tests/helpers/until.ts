/** Polls a condition: tests wait for facts, never for a time. */
import { setTimeout as sleep } from "node:timers/promises";

/** Generous on purpose: it ends a test that hangs and decides nothing else. */
const PATIENCE_MS = 20_000;

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
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms in vain until ${what}`);
    await sleep(everyMs);
  }
}
