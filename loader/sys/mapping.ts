/** Memory shared with the kernel: mmap(2). */
import koffi from "koffi";
import { Owned } from "../owned.ts";
import { checkSys } from "./check.ts";
import * as guard from "./guard.ts";

const lib = koffi.load(null);
const c = {
  mmap: lib.func(
    "void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset)",
  ) as (
    addr: null,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ) => bigint,
  munmap: lib.func("int munmap(void *addr, size_t length)") as (
    addr: bigint,
    length: number,
  ) => number,
};

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_FAILED = 2n ** 64n - 1n;

/**
 * Owns a mapping, which keeps the mapped object alive. Callers get and give copies only, so no
 * Buffer outlives the mapping it points into.
 */
export class Mapping implements Disposable {
  readonly #own: Disposable;
  readonly #length: number;
  #bytes: Buffer | null;

  /**
   * Maps the first `length` bytes of `fd`.
   * @throws SysError
   */
  constructor(fd: number, length: number) {
    const address = c.mmap(null, length, PROT_READ | PROT_WRITE, MAP_SHARED, guard.fd(fd), 0);
    checkSys("mmap", address === MAP_FAILED ? -1 : 0);
    using own = new Owned();
    own.defer(() => checkSys("munmap", c.munmap(address, length)));
    this.#length = length;
    this.#bytes = Buffer.from(koffi.view(address, length));
    this.#own = own.move();
  }

  /** Returns a copy of the bytes from `from` up to `to`. */
  read(from: number, to: number): Buffer {
    if (this.#bytes === null) throw new Error("the mapping is closed");
    if (from < 0 || to < from || to > this.#length) {
      throw new RangeError(`bytes ${from} to ${to} of a mapping of ${this.#length}`);
    }
    const copy = Buffer.allocUnsafe(to - from);
    this.#bytes.copy(copy, 0, from, to);
    return copy;
  }

  /**
   * Replaces the first bytes of the mapping, and writes the first eight of them last. A reader that
   * sees the new eight also sees all earlier writes, because Atomics are sequentially consistent.
   */
  writeStart(bytes: Buffer): void {
    if (this.#bytes === null) throw new Error("the mapping is closed");
    if (bytes.length < 8 || bytes.length > this.#length) {
      throw new RangeError(`${bytes.length} bytes into a mapping of ${this.#length}`);
    }
    const { buffer, byteOffset } = this.#bytes;
    bytes.copy(this.#bytes, 8, 8);
    Atomics.store(new BigUint64Array(buffer, byteOffset, 1), 0, bytes.readBigUInt64LE());
  }

  /**
   * Adds to 64-bit words, beginning at byte `from`. Each is added to atomically, as programs do with
   * __sync_fetch_and_add().
   */
  add(from: number, words: Float64Array): void {
    if (this.#bytes === null) throw new Error("the mapping is closed");
    const { buffer, byteOffset } = this.#bytes;
    const memory = new BigUint64Array(buffer, byteOffset + from, words.length);
    for (const [i, count] of words.entries()) {
      if (count !== 0) Atomics.add(memory, i, BigInt(count));
    }
  }

  /** Adds 1 to the first 64-bit word, atomically. Returns the sum. */
  next(): bigint {
    if (this.#bytes === null) throw new Error("the mapping is closed");
    const { buffer, byteOffset } = this.#bytes;
    return Atomics.add(new BigUint64Array(buffer, byteOffset, 1), 0, 1n) + 1n;
  }

  [Symbol.dispose](): void {
    this.#bytes = null;
    this.#own[Symbol.dispose]();
  }
}
