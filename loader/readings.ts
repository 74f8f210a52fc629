/** When settings are read: at once, often while a listener is young, then now and then. */
import { borrow } from "./borrow.ts";
import type { Listener, Owner } from "./listener.ts";
import { readSettings, settingsDigest } from "./settings.ts";

/** Servers set options after listen() too (nginx does): so long they are read again and again. */
export const YOUNG_MS = 2_000;
/** And so often: a reading is a hundred system calls, which other listeners wait for. */
export const YOUNG_EVERY_MS = 500;
/** After that somebody may still change them: read with the first pass over the group after so long. */
export const SETTLED_MS = 300_000;

interface Reading {
  /** Since when it is young: it opened then, or other processes held it (nginx sets options at a reload too). */
  readonly sinceMs: number;
  readonly lastMs: number;
  readonly owners: readonly Owner[];
}

/** Remembers when each listener's settings were read. */
export class Readings {
  readonly #readings = new Map<bigint, Reading>();

  /**
   * Digest of the settings; 0n when they could not be read, null when it is not time.
   * @param known it has a slot, and so a digest
   */
  read(listener: Listener, known: boolean, nowMs: number): bigint | null {
    const { cookie, key, owners } = listener;
    const before = this.#readings.get(cookie);
    const same = before?.owners === owners;
    const sinceMs = same ? before.sinceMs : nowMs;
    const wait = nowMs - sinceMs < YOUNG_MS ? YOUNG_EVERY_MS : SETTLED_MS;
    if (same && known && nowMs - before.lastMs < wait) return null;
    this.#readings.set(cookie, { sinceMs, lastMs: nowMs, owners });
    return borrow(listener, (fd) => settingsDigest(readSettings(fd, key.family))) ?? 0n;
  }

  /** Some are to be read every {@link YOUNG_EVERY_MS}. */
  haveYoung(nowMs: number): boolean {
    for (const { sinceMs } of this.#readings.values()) if (nowMs - sinceMs < YOUNG_MS) return true;
    return false;
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
