/** The consumer of a BPF ring buffer. */
import koffi from "koffi";
import { checkPtr, checkRet } from "./check.ts";
import * as bpf from "./libbpf.ts";
import { onReadable } from "./readable.ts";

/** Calls `arrived` once after each batch of records. */
export class RingBuffer implements Disposable {
  readonly #callback: bigint;
  readonly #stop: () => void;
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
    this.#callback = koffi.register(sample, "ring_buffer_sample_fn *");
    try {
      const ring = bpf.ring_buffer__new(mapFd, this.#callback, null, null);
      this.#ring = checkPtr("ring_buffer__new", ring);
    } catch (error) {
      koffi.unregister(this.#callback);
      throw error;
    }
    this.#stop = onReadable(bpf.ring_buffer__epoll_fd(this.#ring), () => {
      if (this.consume() > 0) arrived();
    });
  }

  /** Consumes all pending records and returns their number. */
  consume(): number {
    if (this.#ring === null) throw new Error("ring buffer is closed");
    return checkRet("ring_buffer__consume", bpf.ring_buffer__consume(this.#ring));
  }

  [Symbol.dispose](): void {
    if (this.#ring === null) return;
    this.#stop();
    bpf.ring_buffer__free(this.#ring);
    this.#ring = null;
    koffi.unregister(this.#callback);
  }
}
