/** When settings are read: at once, often while a listener is young, then now and then. */

import type { Listener, Owner } from "../core/listener.ts";
import { borrow } from "../net/borrow.ts";
import { optionsDigest, readSocketOptions } from "../net/socket_options.ts";

/** Servers set options after listen() too (nginx does): at these ages, ms, they are read again. */
const YOUNG_AGES_MS = [50, 500, 2_000] as const;
/** A listener is young no more. */
export const YOUNG_MS: number = YOUNG_AGES_MS[2];
/** After that somebody may still change them: read with the first pass over the group after so long. */
export const SETTLED_MS = 300_000;

interface Reading {
  /** Since when it is young: it opened then, or other processes held it (nginx sets options at a reload too). */
  readonly sinceMs: number;
  /** When to read it next. */
  readonly nextMs: number;
  readonly owners: readonly Owner[];
}

/** Remembers when each listener's settings were read. */
export class OptionSchedule {
  readonly #readings = new Map<bigint, Reading>();

  /**
   * Digest of the settings; 0n when they could not be read, null when it is not time.
   * @param known it has a slot, and so a digest
   */
  read(listener: Listener, known: boolean, nowMs: number): bigint | null {
    const { cookie, key, owners } = listener;
    const before = this.#readings.get(cookie);
    const same = before?.owners === owners;
    if (same && known && nowMs < before.nextMs) return null;
    const sinceMs = same ? before.sinceMs : nowMs;
    const age = YOUNG_AGES_MS.find((ms) => nowMs < sinceMs + ms);
    const nextMs = age === undefined ? nowMs + SETTLED_MS : sinceMs + age;
    this.#readings.set(cookie, { sinceMs, nextMs, owners });
    return borrow(listener, (fd) => optionsDigest(readSocketOptions(fd, key.family))) ?? 0n;
  }

  /** Those that are young are to be read in the next step, whatever their age. */
  invalidate(nowMs: number): void {
    for (const [cookie, reading] of this.#readings) {
      if (reading.nextMs <= reading.sinceMs + YOUNG_MS) {
        this.#readings.set(cookie, { ...reading, nextMs: nowMs });
      }
    }
  }

  /** When the first that is young is to be read again; nobody waits for the others. */
  get dueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const { sinceMs, nextMs } of this.#readings.values()) {
      if (nextMs <= sinceMs + YOUNG_MS) dueMs = Math.min(dueMs, nextMs);
    }
    return dueMs;
  }

  /** Forgets listeners that are not among these. */
  keep(listeners: readonly Listener[]): void {
    if (this.#readings.size === 0) return;
    const cookies = new Set(listeners.map(({ cookie }) => cookie));
    for (const cookie of this.#readings.keys()) {
      if (!cookies.has(cookie)) this.#readings.delete(cookie);
    }
  }
}
