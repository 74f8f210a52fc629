/**
 * When one group is to be looked after: when something is other than it was, and now and then whatever
 * was seen. Where nothing changed there is nothing to read and nothing to write. Pure.
 */
import type { Listener } from "../core/listener.ts";
import { alike } from "../observe/snapshot.ts";

/** How long what nobody told of and no listener shows may last, ms; on average three quarters of it. */
export const CHECK_MS = 300_000;

export class RefreshSchedule {
  #seen: readonly Listener[] | null = null;
  #standby = 0n;
  #dueMs = Number.NEGATIVE_INFINITY;
  #checkMs = Number.NEGATIVE_INFINITY;

  /**
   * It was looked after, with these members.
   * @param standby its cookie: what waits there matters
   * @param dueMs look after it then, whatever is seen
   */
  refreshed(members: readonly Listener[], standby: bigint, dueMs: number): void {
    this.#seen = members;
    this.#standby = standby;
    this.#dueMs = dueMs;
  }

  /** What is pinned of it was read again. @param dueMs when to do so next */
  reread(dueMs: number): void {
    this.#checkMs = dueMs;
  }

  /** What is pinned of it may have been changed by somebody else: look into it in the next pass. */
  invalidate(): void {
    this.#checkMs = Number.NEGATIVE_INFINITY;
  }

  /** Whether what is pinned is to be read again. */
  needsReread(nowMs: number): boolean {
    return nowMs >= this.#checkMs;
  }

  /** Whether it wants to be looked after. */
  isDue(members: readonly Listener[], nowMs: number): boolean {
    return nowMs >= this.#dueMs || this.needsReread(nowMs) || this.isOther(members);
  }

  /** Its members are other than when it was looked after last. */
  isOther(members: readonly Listener[]): boolean {
    if (this.#seen === null || !alike(members, this.#seen, this.#standby)) return true;
    this.#seen = members; // compared by identity the next time
    return false;
  }
}

/** When a group is to be checked that was checked now: groups that began together do not stay together. */
export function nextCheckMs(nowMs: number, random: number): number {
  return nowMs + CHECK_MS * (0.5 + random / 2);
}
