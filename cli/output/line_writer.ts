/**
 * Writes lines for a process that must outlive its log: a full disk, or a reader that stalls or has
 * gone, costs lines, which are counted, and nothing else.
 *
 * Each write(2) is made by a thread of the libuv pool, so the event loop never waits for it. The
 * file is not made non-blocking: other processes may share it, such as the server of `exec`.
 */
import { write } from "node:fs";

/** Most bytes that wait for a write, some thousand lines. */
const MAX_BYTES = 256 * 1024;
/** Pause after EAGAIN, ms: another process made the file non-blocking. */
const RETRY_MS = 100;
const LF = 0x0a;

/** As write(2): writes some of the bytes. */
type Write = (
  fd: number,
  bytes: Buffer,
  done: (error: NodeJS.ErrnoException | null, written: number) => void,
) => void;

export interface LineWriterOptions {
  /**
   * Called when lines can be written again.
   * @param count lines that were dropped since the last call
   * @param why errno name of the last failure, such as ENOSPC; `full`: too many lines waited
   */
  readonly resumed?: (count: number, why: string) => void;
  readonly write?: Write;
  readonly maxBytes?: number;
}

export class LineWriter {
  readonly #fd: number;
  readonly #write: Write;
  readonly #maxBytes: number;
  readonly #resumed: (count: number, why: string) => void;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #isWriting = false;
  /** The file ends within a line: the rest of it was dropped. */
  #isTorn = false;
  #dropped = 0;
  /** Dropped lines that `resumed` was not told. */
  #untold = 0;
  #why = "";
  #idle: () => void = () => {};

  constructor(fd: number, options: LineWriterOptions = {}) {
    const { resumed = () => {}, maxBytes = MAX_BYTES } = options;
    this.#fd = fd;
    this.#write = options.write ?? ((file, bytes, done) => write(file, bytes, done));
    this.#maxBytes = maxBytes;
    this.#resumed = resumed;
  }

  /** Lines dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Writes whole lines, soon; or drops them. */
  write(text: string): void {
    const bytes = Buffer.from(text);
    if (this.#waitingBytes + bytes.length > this.#maxBytes) {
      this.#drop(bytes, "full");
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#next();
  }

  /** Waits until every line is written or dropped. Returns false if that takes longer. */
  async drain(timeoutMs: number): Promise<boolean> {
    if (!this.#isWriting) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#idle = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  #next(): void {
    if (this.#isWriting) return;
    if (this.#waiting.length === 0) {
      this.#idle();
      return;
    }
    const lines = this.#waiting.splice(0);
    this.#waitingBytes = 0;
    this.#isWriting = true;
    this.#writeRest(Buffer.concat(this.#isTorn ? [Buffer.of(LF), ...lines] : lines));
  }

  #writeRest(bytes: Buffer): void {
    this.#write(this.#fd, bytes, (error, written) => {
      if (error?.code === "EAGAIN") {
        setTimeout(() => this.#writeRest(bytes), RETRY_MS);
        return;
      }
      if (error === null && written > 0) {
        this.#isTorn = bytes[written - 1] !== LF;
        if (written < bytes.length) {
          this.#writeRest(bytes.subarray(written));
          return;
        }
        this.#tellResumed();
      } else {
        this.#drop(bytes, error?.code ?? "EIO");
      }
      this.#isWriting = false;
      this.#next();
    });
  }

  #drop(bytes: Buffer, why: string): void {
    // The end of a torn line is no line of its own.
    const lines = bytes[0] === LF ? bytes.subarray(1) : bytes;
    const count = lines.filter((byte) => byte === LF).length;
    this.#dropped += count;
    this.#untold += count;
    this.#why = why;
  }

  #tellResumed(): void {
    if (this.#untold === 0) return;
    const count = this.#untold;
    this.#untold = 0;
    this.#resumed(count, this.#why);
  }
}
