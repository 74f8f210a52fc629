/**
 * When to read the socket options of each listener: at once, often while it is young, then seldom.
 */

import type { Listener, Owner } from "../core/listener.ts";
import { socketOptionsOf } from "../net/foreign_listener.ts";
import { optionsDigest } from "../net/socket_options.ts";

/**
 * Ages (ms) at which a young listener's options are read again: servers (nginx) set some after
 * listen().
 */
const YOUNG_AGES_MS = [50, 500, 2_000] as const;
/** Age (ms) from which a listener is no longer young. */
export const YOUNG_MS: number = YOUNG_AGES_MS[2];
/** Interval (ms) for older listeners; their options are read with the next refresh of the group. */
export const SETTLED_MS = 300_000;

interface Reading {
  /**
   * When it became young: when it opened, or its owners changed (nginx sets options at a reload).
   */
  readonly sinceMs: number;
  /** When to read it next. */
  readonly nextMs: number;
  readonly owners: readonly Owner[];
  readonly keyed: boolean;
}

/** Remembers when the options of each listener were read. */
export class OptionSchedule {
  readonly #readings = new Map<bigint, Reading>();

  /**
   * Returns the digest of a listener's options; null if it is not due, or known and no owner lends
   * it; 0n if it is new and no owner lends it.
   * @param known it has a slot, and so a digest
   */
  read(listener: Listener, known: boolean, nowMs: number): bigint | null {
    const { cookie, owners, keyed } = listener;
    const before = this.#readings.get(cookie);
    const same = before?.owners === owners && before.keyed === keyed;
    if (same && known && nowMs < before.nextMs) return null;
    const sinceMs = same ? before.sinceMs : nowMs;
    const age = YOUNG_AGES_MS.find((ms) => nowMs < sinceMs + ms);
    const nextMs = age === undefined ? nowMs + SETTLED_MS : sinceMs + age;
    this.#readings.set(cookie, { sinceMs, nextMs, owners, keyed });
    const options = socketOptionsOf(listener);
    if (options) return optionsDigest(options);
    return known ? null : 0n;
  }

  /** Makes every young listener due at once. */
  invalidate(nowMs: number): void {
    for (const [cookie, reading] of this.#readings) {
      if (reading.nextMs <= reading.sinceMs + YOUNG_MS) {
        this.#readings.set(cookie, { ...reading, nextMs: nowMs });
      }
    }
  }

  /**
   * Returns when the first young listener is due, or Infinity; older ones wait for another refresh.
   */
  get dueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const { sinceMs, nextMs } of this.#readings.values()) {
      if (nextMs <= sinceMs + YOUNG_MS) dueMs = Math.min(dueMs, nextMs);
    }
    return dueMs;
  }

  /** Forgets every listener that is not one of these. */
  keep(listeners: readonly Listener[]): void {
    if (this.#readings.size === 0) return;
    const cookies = new Set(listeners.map(({ cookie }) => cookie));
    for (const cookie of this.#readings.keys()) {
      if (!cookies.has(cookie)) this.#readings.delete(cookie);
    }
  }
}
