/**
 * The map `sources`: row and settings class of each listener by cookie. An array used as a hash
 * table.
 */
import {
  MAX_CLASSES,
  SOURCE_COOKIE_SHIFT,
  SOURCE_HASH,
  SOURCE_ROW_SHIFT,
  SOURCE_TRIES,
} from "../core/abi.ts";
import type { Slot } from "../core/slot.ts";

/** The part of a map used here. */
export interface WordArray {
  readonly shape: { readonly entries: number };
  update(key: number, value: Buffer): void;
  read(): Buffer;
}

/** Upper bound of cookies, which the kernel counts up from 1. */
const COOKIE = BigInt(SOURCE_COOKIE_SHIFT);

export class Sources {
  readonly #map: WordArray;
  readonly #entries: number;
  #words: BigUint64Array | null = null;

  /** @param map an array of 64-bit words, a power of two in number */
  constructor(map: WordArray) {
    this.#map = map;
    this.#entries = map.shape.entries;
  }

  /** Number of entries - 1, for `control`. */
  get mask(): number {
    return this.#entries - 1;
  }

  /** Drops the cache: another process may have changed the map. */
  invalidate(): void {
    this.#words = null;
  }

  /** Returns every listener, also those that have closed. */
  all(): Pick<Slot, "cookie" | "slot" | "class">[] {
    return [...this.#read()].flatMap((word) => {
      const low = Number(BigInt.asUintN(SOURCE_COOKIE_SHIFT, word));
      const slot = (low >> SOURCE_ROW_SHIFT) - 1;
      return word === 0n ? [] : { cookie: word >> COOKIE, slot, class: low % MAX_CLASSES };
    });
  }

  /** Adds a listener. Returns false if there is no room: it is then an unknown source. */
  set({ cookie, slot, class: number }: Pick<Slot, "cookie" | "slot" | "class">): boolean {
    const words = this.#read();
    const candidates = this.#candidates(cookie);
    const entry =
      candidates.find((each) => (words[each] ?? 0n) >> COOKIE === cookie) ??
      candidates.find((each) => words[each] === 0n);
    if (entry === undefined) return false;
    const low = ((slot + 1) << SOURCE_ROW_SHIFT) | (number < MAX_CLASSES ? number : 0);
    this.#write(entry, BigInt.asUintN(64, cookie << COOKIE) | BigInt(low));
    return true;
  }

  remove(cookie: bigint): void {
    this.#removeIf((word) => word >> COOKIE === cookie, this.#candidates(cookie));
  }

  /** Removes all except these. */
  keep(cookies: ReadonlySet<bigint>): void {
    this.#removeIf((word) => !cookies.has(word >> COOKIE), [...this.#read().keys()]);
  }

  #removeIf(matches: (word: bigint) => boolean, entries: readonly number[]): void {
    const words = this.#read();
    for (const entry of entries) {
      const word = words[entry] ?? 0n;
      if (word !== 0n && matches(word)) this.#write(entry, 0n);
    }
  }

  /** Returns the entries that can hold a cookie, in the order of the program's lookup. */
  #candidates(cookie: bigint): number[] {
    const folded = Number((cookie ^ (cookie >> 32n)) & 0xffff_ffffn);
    const hash = Math.imul(folded, SOURCE_HASH) >>> 16;
    return Array.from({ length: SOURCE_TRIES }, (_, i) => (hash + i) & this.mask);
  }

  #read(): BigUint64Array {
    if (this.#words === null) {
      const bytes = this.#map.read();
      this.#words = new BigUint64Array(this.#entries);
      for (const i of this.#words.keys()) this.#words[i] = bytes.readBigUInt64LE(i * 8);
    }
    return this.#words;
  }

  /** Writes one word, so that the program never sees half of an entry. */
  #write(entry: number, word: bigint): void {
    const value = Buffer.alloc(8);
    value.writeBigUInt64LE(word);
    this.#map.update(entry, value);
    this.#read()[entry] = word;
  }
}
