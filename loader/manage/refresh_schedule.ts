/**
 * When a group is due for a refresh: after a change, and from time to time. A group that is not due
 * costs no read and no write. Pure.
 */
import type { Listener, Queues, QueuesByCookie } from "../core/listener.ts";

/**
 * Upper bound (ms) on how long an unreported change of the pins can go unnoticed. Jittered; the
 * mean is 75 % of it.
 */
export const REREAD_MS = 300_000;

/** What the last refresh saw, and when the next ones are due (ms, CLOCK_BOOTTIME). */
export interface LastRefresh {
  readonly members: readonly Listener[];
  /** Cookie of the standby; 0n: none. */
  readonly standby: bigint;
  /** Queues of the standby in the snapshot. */
  readonly standbyQueues: Queues | undefined;
  /** When to refresh even without a change. */
  readonly refreshDueMs: number;
  /** When to read the pins again. */
  readonly rereadDueMs: number;
}

/**
 * Returns true if a listener came, left or changed, or if the standby's queues did.
 * @param last null: there was no refresh
 */
export function hasChanged(
  last: LastRefresh | null,
  members: readonly Listener[],
  queues: QueuesByCookie,
): boolean {
  if (last === null || queues.get(last.standby) !== last.standbyQueues) return true;
  // A group without a member has no array of its own.
  return members !== last.members && members.length + last.members.length > 0;
}

/** Returns true if the pins are due to be read again. @param last null: they never were */
export function needsReread(last: LastRefresh | null, nowMs: number): boolean {
  return last === null || nowMs >= last.rereadDueMs;
}

/** Returns true if the group is due for a refresh. @param last null: it never had one */
export function isDue(
  last: LastRefresh | null,
  members: readonly Listener[],
  queues: QueuesByCookie,
  nowMs: number,
): boolean {
  if (needsReread(last, nowMs) || hasChanged(last, members, queues)) return true;
  return last !== null && nowMs >= last.refreshDueMs;
}

/** Returns when to read the pins of a group again; jittered, so that groups drift apart. */
export function nextRereadMs(nowMs: number, random: number): number {
  return nowMs + REREAD_MS * (0.5 + random / 2);
}
