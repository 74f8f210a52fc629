/** Random values that can be made again: the same seed and index give the same values. Pure. */

/** Integers at which formats, fields and comparisons change their meaning. */
const EDGES = [
  0, 1, 2, 3, 7, 8, 15, 16, 63, 64, 127, 128, 255, 256, 1023, 1024, 1025, 4095, 4096, 65534, 65535,
  65536, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
] as const;

/** One input's source of values: mulberry32, whose 32 bits of state are a hash of both numbers. */
export class Random {
  #state: number;

  constructor(seed: number, index: number) {
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35);
    for (let i = 0; i < 3; i++) this.uint32(); // neighbouring indexes differ in few bits
  }

  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** Returns an integer from 0 up to, but not including, `limit`. */
  below(limit: number): number {
    return Math.floor((this.uint32() / 2 ** 32) * limit);
  }

  /** Returns true with the probability `1 / of`. */
  oneIn(of: number): boolean {
    return this.below(of) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** Returns up to `max` values of `make`. */
  list<T>(max: number, make: () => T): T[] {
    return Array.from({ length: this.below(max + 1) }, make);
  }

  /** Returns an unsigned integer of up to 32 bits: an edge, a small one, or any. */
  number(): number {
    return this.pick([() => this.pick(EDGES), () => this.below(100), () => this.uint32()])();
  }

  /** Returns an unsigned integer of up to 64 bits, chosen likewise. */
  big(): bigint {
    const high = this.pick([0, 0, 0, 1, 0x1fffff, 0x200000, 0x7fffffff, 0xffffffff, this.uint32()]);
    return (BigInt(high) << 32n) | BigInt(this.number());
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(Math.ceil(length / 4) * 4);
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(this.uint32(), at);
    return bytes.subarray(0, length);
  }
}
