/** Waits until the migrations that a command caused are over. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Meter } from "./meter.ts";

/** The end of the wait: no more migrations, --settle 0, a signal, or the limit. */
export type Settled = "settled" | "not_waited" | "interrupted" | "limit";

/** Time between two readings, ms; each goes through all file descriptors of the host. */
export const SETTLE_POLL_MS = 250;

/** Time that the wait may take beyond --settle, ms: a queue may never empty. */
export const LIMIT_MS = 30_000;

/**
 * Waits until for `settleMs` no connection migrated or was lost and none waits at an old listener
 * or the standby. Until their SYN-ACK timers fire, after a second, handshakes of closed listeners
 * are not visible.
 */
export async function settle(
  meter: Meter,
  settleMs: number,
  stop: AbortSignal,
  read: () => void,
): Promise<Settled> {
  const start = performance.now();
  read();
  if (settleMs === 0) return "not_waited";
  for (let rest = start, moves = meter.moves; ; ) {
    if (stop.aborted) return "interrupted";
    const now = performance.now();
    if (now - start > settleMs + LIMIT_MS) return "limit";
    if (moves !== meter.moves || meter.waiting.length > 0) rest = now;
    moves = meter.moves;
    if (now - rest >= settleMs) return "settled";
    await sleep(SETTLE_POLL_MS, undefined, { signal: stop }).catch(() => {});
    read();
  }
}
