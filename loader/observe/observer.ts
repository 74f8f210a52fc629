/** Reads every listener of the host, by the task_file iterator. */
import { read, readSync, statSync } from "node:fs";
import { BpfObject } from "../bpf/object.ts";
import { ITERATOR_PROGRAM, LAYOUT, RODATA } from "../core/abi.ts";
import { hasCode } from "../errors.ts";
import { checkPtr, checkRet } from "../sys/check.ts";
import * as guard from "../sys/guard.ts";
import * as bpf from "../sys/libbpf.ts";
import * as libc from "../sys/libc.ts";
import { type Snapshot, SnapshotReader } from "./snapshot.ts";

/**
 * Room for a read(2), bytes: the kernel fills at most half of it at a time (kernel/bpf/bpf_iter.c).
 */
const CHUNK = 64 * 1024;

/**
 * After a read of the host that took longer, ms of CPU time, the next is made in the libuv pool:
 * the event loop is not blocked by 200,000 open files (bench row 11). A short one is not worth it:
 * in the pool it wakes the process 12 times, here once (bench row 14).
 */
const SLOW_MS = 20;

/**
 * Sizes and offsets, bytes, of struct bpf_iter_attach_opts (libbpf.h) and union bpf_iter_link_info
 * (uapi/linux/bpf.h): its `task`.
 */
const ITER_OPTIONS = 24;
const TASK_INFO = { size: 12, pid: 4 } as const;

/** Reads listeners; keeps the iterator loaded between reads. */
export class Observer implements Disposable {
  readonly #object: BpfObject;
  readonly #snapshots = new SnapshotReader();
  #link: bpf.Ptr<"bpf_link"> | null;
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
    this.#object = new BpfObject("listeners");
    try {
      this.#object.setData(RODATA, parameters(options.udp === true));
      this.#object.load();
      this.#link = checkPtr(
        "bpf_program__attach_iter",
        bpf.bpf_program__attach_iter(this.#object.program(ITERATOR_PROGRAM), null),
      );
    } catch (error) {
      this.#object[Symbol.dispose]();
      throw error;
    }
  }

  /** Reads the whole host and blocks the event loop meanwhile: for commands. */
  read(): Snapshot {
    return this.#snapshots.next(this.#readRecords(this.#opened));
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
    const bytes = isSlow ? await this.#readInPool() : this.#readRecords(this.#opened);
    const { user, system } = process.cpuUsage(before);
    this.#hostMs = (user + system) / 1_000;
    let snapshot = this.#snapshots.next(bytes);
    // What the host's read says of these may be older than what was read of them.
    for (const pid of this.#readMeanwhile) snapshot = this.#readProcess(pid) ?? snapshot;
    return snapshot;
  }

  async #readInPool(): Promise<Buffer> {
    const fd = checkRet("bpf_iter_create", bpf.bpf_iter_create(bpf.bpf_link__fd(this.#opened)));
    const buffer = this.#hostBuffer;
    try {
      buffer.empty();
      while (buffer.fill(await readInPool(fd, buffer))) {}
      return buffer.bytes;
    } finally {
      libc.close(fd);
    }
  }

  #readProcess(pid: number): Snapshot | null {
    if (!this.#readsProcesses) return null;
    const info = Buffer.alloc(TASK_INFO.size);
    info.writeUInt32LE(guard.pid(pid), TASK_INFO.pid);
    const options = { sz: ITER_OPTIONS, link_info: info, link_info_len: info.length };
    const program = this.#object.program(ITERATOR_PROGRAM);
    let link: bpf.Ptr<"bpf_link">;
    try {
      link = checkPtr("bpf_program__attach_iter", bpf.bpf_program__attach_iter(program, options));
    } catch (error) {
      this.#readsProcesses = !hasCode(error, "E2BIG", "EINVAL");
      return null;
    }
    try {
      return this.#snapshots.ofProcess(pid, this.#readRecords(link));
    } finally {
      bpf.bpf_link__destroy(link);
    }
  }

  /** Returns every record of an iterator; they are overwritten by the next read. */
  #readRecords(link: bpf.Ptr<"bpf_link">): Buffer {
    const fd = checkRet("bpf_iter_create", bpf.bpf_iter_create(bpf.bpf_link__fd(link)));
    const buffer = this.#buffer;
    try {
      buffer.empty();
      while (buffer.fill(readSyncAgain(fd, buffer))) {}
      return buffer.bytes;
    } finally {
      libc.close(fd);
    }
  }

  get #opened(): bpf.Ptr<"bpf_link"> {
    if (this.#link === null) throw new Error("Observer is closed");
    return this.#link;
  }

  [Symbol.dispose](): void {
    if (this.#link === null) return;
    bpf.bpf_link__destroy(this.#link);
    this.#link = null;
    this.#object[Symbol.dispose]();
  }
}

/** Returns the options of the iterator program. */
function parameters(udp: boolean): Buffer {
  return LAYOUT.rm_iter_options.encode({ pidns: statSync("/proc/self/ns/pid").ino, udp });
}

/** read(2) fails with EAGAIN after a million files without a listener (kernel/bpf/bpf_iter.c). */
function readSyncAgain(fd: number, buffer: ReadBuffer): number {
  for (;;) {
    try {
      return readSync(fd, ...buffer.free);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
  }
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
  #buffer = Buffer.allocUnsafe(CHUNK);
  #used = 0;

  empty(): void {
    this.#used = 0;
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#used);
  }

  /** Arguments of read(2) for the free part, at least CHUNK bytes. */
  get free(): [buffer: Buffer, at: number, length: number, position: null] {
    if (this.#buffer.length - this.#used < CHUNK) {
      const buffer = Buffer.allocUnsafe(2 * this.#buffer.length + CHUNK);
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
