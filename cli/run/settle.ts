/** Waits until what the command set moving has come to rest. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Meter } from "./meter.ts";

/** How the wait ended: at rest, because it was not to wait, on a signal, or because it took too long. */
export type Settled = "settled" | "not_waited" | "interrupted" | "limit";

/** How often is looked; a reading goes through all file descriptors of the host. */
export const SETTLE_POLL_MS = 250;

/** How much longer than --settle the wait may take: queues that never empty are no reason to hang. */
export const LIMIT_MS = 30_000;

/**
 * At rest: nothing waits on what has closed, closes or stands by, and for `settleMs` no connection
 * was moved or lost. SYN-ACK timers of closed listeners fire after a second, where nothing shows.
 */
export async function settle(
  meter: Meter,
  settleMs: number,
  stop: AbortSignal,
  look: () => void,
): Promise<Settled> {
  const start = performance.now();
  look();
  if (settleMs === 0) return "not_waited";
  for (let rest = start, moves = meter.moves; ; ) {
    if (stop.aborted) return "interrupted";
    const now = performance.now();
    if (now - start > settleMs + LIMIT_MS) return "limit";
    if (moves !== meter.moves || meter.waiting.length > 0) rest = now;
    moves = meter.moves;
    if (now - rest >= settleMs) return "settled";
    await sleep(SETTLE_POLL_MS, undefined, { signal: stop }).catch(() => {});
    look();
  }
}
