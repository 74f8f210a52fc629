/** Reads every listener of the host, by the task_file iterator. */
import { read, statSync } from "node:fs";
import { type BpfLink, READ_BYTES, type ReadInto, readSyncAgain } from "../bpf/link.ts";
import { BpfObject } from "../bpf/object.ts";
import { ITERATOR_PROGRAM, LAYOUT, RODATA } from "../core/abi.ts";
import { hasCode } from "../errors.ts";
import { Owned } from "../owned.ts";
import { type Snapshot, SnapshotReader } from "./snapshot.ts";

/**
 * After a read of the host that took longer, ms of CPU time, the next is made in the libuv pool:
 * the event loop is not blocked by 200,000 open files (bench row 11). A short one is not worth it:
 * in the pool it wakes the process 12 times, here once (bench row 14).
 */
const SLOW_MS = 20;

/** Reads listeners; keeps the iterator loaded between reads. */
export class Observer implements Disposable {
  readonly #own: Disposable;
  readonly #object: BpfObject;
  readonly #snapshots = new SnapshotReader();
  readonly #link: BpfLink;
  readonly #hostBuffer = new ReadBuffer();
  readonly #buffer = new ReadBuffer();
  /** The kernel can read the files of one process: since Linux 6.1. */
  #readsProcesses = true;
  /** CPU time of the last read of the host. */
  #hostMs = 0;
  /** Settled when every read of the host so far has ended. */
  #lastRead: Promise<unknown> = Promise.resolve();
  /** The read of the host that has not begun yet. */
  #waiting: Promise<Snapshot> | null = null;
  /** Processes that were read while the host is. */
  readonly #readMeanwhile = new Set<number>();

  /** @param options.udp also read bound UDP sockets */
  constructor(options: { readonly udp?: boolean } = {}) {
    using own = new Owned();
    this.#object = own.use(new BpfObject("listeners"));
    this.#object.setData(RODATA, parameters(options.udp === true));
    this.#object.load();
    this.#link = own.use(this.#object.attachIterator(ITERATOR_PROGRAM, null));
    this.#own = own.move();
  }

  /** Reads the whole host and blocks the event loop meanwhile: for commands. */
  read(): Snapshot {
    return this.#snapshots.next(this.#readRecords(this.#link));
  }

  /** Reads the whole host. Callers that wait for the same read share it. */
  snapshot(): Promise<Snapshot> {
    this.#waiting ??= this.#lastRead.then(() => {
      this.#waiting = null;
      return this.#readHost();
    });
    this.#lastRead = this.#waiting.catch(() => {});
    return this.#waiting;
  }

  /**
   * Reads these processes only, at the cost of their own open files; a read of the host under way
   * does not delay it (bench row 9). Returns a snapshot in which every other process is as it was
   * read last; null if only a read of the host can tell.
   */
  snapshotProcesses(pids: Iterable<number>): Snapshot | null {
    let snapshot: Snapshot | null = null;
    for (const pid of pids) {
      snapshot = this.#readProcess(pid);
      if (snapshot === null) return null;
      this.#readMeanwhile.add(pid);
    }
    return snapshot;
  }

  /** Waits for the reads under way, then disposes. */
  async close(): Promise<void> {
    await this.#lastRead;
    this[Symbol.dispose]();
  }

  async #readHost(): Promise<Snapshot> {
    this.#readMeanwhile.clear();
    const before = process.cpuUsage();
    const isSlow = this.#hostMs > SLOW_MS;
    const bytes = isSlow ? await this.#readInPool() : this.#readRecords(this.#link);
    const { user, system } = process.cpuUsage(before);
    this.#hostMs = (user + system) / 1_000;
    let snapshot = this.#snapshots.next(bytes);
    // What the host's read says of these may be older than what was read of them.
    for (const pid of this.#readMeanwhile) snapshot = this.#readProcess(pid) ?? snapshot;
    return snapshot;
  }

  async #readInPool(): Promise<Buffer> {
    using own = new Owned();
    const fd = own.fd(this.#link.createIterator());
    const buffer = this.#hostBuffer;
    buffer.empty();
    while (buffer.fill(await readInPool(fd, buffer))) {}
    return buffer.bytes;
  }

  #readProcess(pid: number): Snapshot | null {
    if (!this.#readsProcesses) return null;
    using link = this.#attach(pid);
    return link && this.#snapshots.ofProcess(pid, this.#readRecords(link));
  }

  /** Returns the iterator over one process; null if this kernel has none, or it cannot be had. */
  #attach(pid: number): BpfLink | null {
    try {
      return this.#object.attachIterator(ITERATOR_PROGRAM, pid);
    } catch (error) {
      this.#readsProcesses = !hasCode(error, "E2BIG", "EINVAL");
      return null;
    }
  }

  /** Returns every record of an iterator; they are overwritten by the next read. */
  #readRecords(link: BpfLink): Buffer {
    using own = new Owned();
    const fd = own.fd(link.createIterator());
    const buffer = this.#buffer;
    buffer.empty();
    while (buffer.fill(readSyncAgain(fd, ...buffer.free))) {}
    return buffer.bytes;
  }

  [Symbol.dispose](): void {
    this.#own[Symbol.dispose]();
  }
}

/** Returns the options of the iterator program. */
function parameters(udp: boolean): Buffer {
  return LAYOUT.rm_iter_options.encode({ pidns: statSync("/proc/self/ns/pid").ino, udp });
}

/** As {@link readSyncAgain}, in a thread of the libuv pool. */
function readInPool(fd: number, buffer: ReadBuffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const tryOnce = () =>
      read(fd, ...buffer.free, (error, length) => {
        if (error?.code === "EAGAIN") tryOnce();
        else if (error) reject(error);
        else resolve(length);
      });
    tryOnce();
  });
}

/** Collects the bytes of successive reads; grows to what a host needs. */
class ReadBuffer {
  #buffer = Buffer.allocUnsafe(READ_BYTES);
  #used = 0;

  empty(): void {
    this.#used = 0;
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#used);
  }

  /** Arguments of read(2) for the free part, at least READ_BYTES. */
  get free(): ReadInto {
    if (this.#buffer.length - this.#used < READ_BYTES) {
      const buffer = Buffer.allocUnsafe(2 * this.#buffer.length + READ_BYTES);
      this.#buffer.copy(buffer, 0, 0, this.#used);
      this.#buffer = buffer;
    }
    return [this.#buffer, this.#used, this.#buffer.length - this.#used, null];
  }

  /** Records that `length` bytes were read. Returns false at the end of the file. */
  fill(length: number): boolean {
    this.#used += length;
    return length > 0;
  }
}
