/** The `sources` of a group: what each listener was, for when it closes. A hash table the program can look into. */
import {
  MAX_CLASSES,
  SOURCE_COOKIE_SHIFT,
  SOURCE_HASH,
  SOURCE_ROW_SHIFT,
  SOURCE_TRIES,
} from "../core/abi.ts";
import type { Slot } from "../core/slot.ts";

/** What of a map is needed here. */
export interface WordArray {
  readonly shape: { readonly entries: number };
  update(key: number, value: Buffer): void;
  read(): Buffer;
}

/** Cookies are counted up from 1: none gets to 2^48. */
const COOKIE = BigInt(SOURCE_COOKIE_SHIFT);

export class Sources {
  readonly #map: WordArray;
  readonly #entries: number;
  #words: BigUint64Array | null = null;

  /** @param map an array of 64-bit words; their number a power of two */
  constructor(map: WordArray) {
    this.#map = map;
    this.#entries = map.shape.entries;
  }

  /** For `control`. */
  get mask(): number {
    return this.#entries - 1;
  }

  /** Reads them again: others may have changed them. */
  invalidate(): void {
    this.#words = null;
  }

  /** False where there is no room: its connections are then those of a source that is not known. */
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

  /** Removes all but these. */
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

  /** The entries that a cookie may be in, in the order in which the program looks. */
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

  /** One word, so that the program sees all of it or nothing. */
  #write(entry: number, word: bigint): void {
    const value = Buffer.alloc(8);
    value.writeBigUInt64LE(word);
    this.#map.update(entry, value);
    this.#read()[entry] = word;
  }
}
