/** Links: programs attached to a cgroup, or iterators. */
import { readSync } from "node:fs";
import { Owned } from "../owned.ts";
import { checkRet } from "../sys/check.ts";
import * as bpf from "../sys/libbpf.ts";

/**
 * Room for a read(2), bytes: the kernel fills at most half of it at a time (kernel/bpf/bpf_iter.c).
 */
export const READ_BYTES = 64 * 1024;

/** Owns a link. Disposing it detaches the program, unless the link is pinned. */
export class BpfLink implements Disposable {
  #ptr: bpf.Ptr<"bpf_link"> | null;

  constructor(ptr: bpf.Ptr<"bpf_link">) {
    this.#ptr = ptr;
  }

  /** Its file descriptor, which the link owns. */
  get fd(): number {
    if (this.#ptr === null) throw new Error("BPF link is closed");
    return bpf.bpf_link__fd(this.#ptr);
  }

  /** Returns a file descriptor from which the records of an iterator are read, once. */
  createIterator(): number {
    return checkRet("bpf_iter_create", bpf.bpf_iter_create(this.fd));
  }

  /** Returns all records of an iterator; blocks the event loop meanwhile. */
  readIterator(): Buffer {
    using own = new Owned();
    const fd = own.fd(this.createIterator());
    const chunks: Buffer[] = [];
    for (;;) {
      const chunk = Buffer.allocUnsafe(READ_BYTES);
      const length = readSyncAgain(fd, chunk, 0, chunk.length, null);
      if (length === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, length));
    }
  }

  [Symbol.dispose](): void {
    if (this.#ptr !== null) bpf.bpf_link__destroy(this.#ptr);
    this.#ptr = null;
  }
}

/** Where a read(2) writes, as readSync() takes it. */
export type ReadInto = [buffer: Buffer, at: number, length: number, position: null];

/** read(2) fails with EAGAIN after a million files without a record (kernel/bpf/bpf_iter.c). */
export function readSyncAgain(fd: number, ...into: ReadInto): number {
  for (;;) {
    try {
      return readSync(fd, ...into);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
  }
}
