/** The consumer of a BPF ring buffer. */
import koffi from "koffi";
import { Owned } from "../owned.ts";
import { checkPtr, checkRet } from "./check.ts";
import * as bpf from "./libbpf.ts";
import { onReadable } from "./readable.ts";

/**
 * Time between two batches, ms. Without it each record wakes the process anew, which costs ten times
 * as much as reading it.
 */
const PAUSE_MS = 1;

/** Calls `arrived` once after each batch of records, and has at most one batch a millisecond. */
export class RingBuffer implements Disposable {
  readonly #own: Disposable;
  #ring: bpf.Ptr<"ring_buffer"> | null;

  /**
   * @param record called with a copy of each record before `arrived`. It must not throw: libbpf
   *   would continue, and the error would surface elsewhere.
   */
  constructor(mapFd: number, arrived: () => void, record?: (bytes: Buffer) => void) {
    const sample = (_ctx: null, data: bigint, size: number) => {
      record?.(Buffer.from(koffi.decode(data, "uint8_t", size)));
      return 0;
    };
    using own = new Owned();
    const callback = koffi.register(sample, "ring_buffer_sample_fn *");
    own.defer(() => koffi.unregister(callback));
    const ring = checkPtr("ring_buffer__new", bpf.ring_buffer__new(mapFd, callback, null, null));
    own.defer(() => bpf.ring_buffer__free(ring));
    this.#ring = ring;
    const consume = () => {
      if (this.consume() > 0) arrived();
    };
    const stop = onReadable(bpf.ring_buffer__epoll_fd(ring), consume, PAUSE_MS);
    own.defer(stop);
    this.#own = own.move();
  }

  /** Consumes all pending records and returns their number. */
  consume(): number {
    if (this.#ring === null) throw new Error("ring buffer is closed");
    return checkRet("ring_buffer__consume", bpf.ring_buffer__consume(this.#ring));
  }

  [Symbol.dispose](): void {
    this.#ring = null;
    this.#own[Symbol.dispose]();
  }
}
