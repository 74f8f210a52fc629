/** When settings are read: at once, often while a listener is young, then now and then. */
import { borrow } from "./borrow.ts";
import type { Listener } from "./listener.ts";
import { readSettings, settingsDigest } from "./settings.ts";

/** Servers set options after listen() too (nginx does): so long they are read in every pass. */
export const YOUNG_MS = 2_000;
/** After that a reload may still change them (nginx again): how often they are read then. */
export const SETTLED_MS = 30_000;

/** Remembers when each listener's settings were read. */
export class Readings {
  readonly #first = new Map<bigint, number>();
  readonly #last = new Map<bigint, number>();

  /**
   * Digest of the settings; 0n when they could not be read, null when it is not time.
   * @param known it has a slot, and so a digest
   */
  read(listener: Listener, known: boolean, nowMs: number): bigint | null {
    const { cookie, key } = listener;
    const first = this.#first.get(cookie) ?? nowMs;
    const wait = nowMs - first < YOUNG_MS ? 0 : SETTLED_MS;
    if (known && nowMs - (this.#last.get(cookie) ?? -SETTLED_MS) < wait) return null;
    this.#first.set(cookie, first);
    this.#last.set(cookie, nowMs);
    return borrow(listener, (fd) => settingsDigest(readSettings(fd, key.family))) ?? 0n;
  }

  /** Some are to be read in the next pass. */
  haveYoung(nowMs: number): boolean {
    for (const first of this.#first.values()) if (nowMs - first < YOUNG_MS) return true;
    return false;
  }

  /** Forgets listeners that are not among these. */
  keep(listeners: readonly Listener[]): void {
    const cookies = new Set(listeners.map(({ cookie }) => cookie));
    for (const cookie of this.#first.keys()) {
      if (cookies.has(cookie)) continue;
      this.#first.delete(cookie);
      this.#last.delete(cookie);
    }
  }
}
