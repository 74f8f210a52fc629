/** observe: every listener of the host, in one read of the task_file iterator. */
import { read, readSync, statSync } from "node:fs";
import { BpfObject } from "../bpf/object.ts";
import { ITERATOR_PROGRAM, LAYOUT, RODATA } from "../core/abi.ts";
import type { Listener } from "../core/listener.ts";
import { hasCode } from "../errors.ts";
import { checkPtr, checkRet } from "../sys/check.ts";
import * as guard from "../sys/guard.ts";
import * as bpf from "../sys/libbpf.ts";
import * as libc from "../sys/libc.ts";
import { type Snapshot, SnapshotReader } from "./snapshot.ts";

/** Room for a read(2), bytes: the kernel gives at most half of it at a time (kernel/bpf/bpf_iter.c). */
const CHUNK = 64 * 1024;
/** Reads that take this long, ms of CPU time, several in a row, are made beside the event loop from then on. */
const SLOW_MS = 20;
const SLOW_READS = 3;

/** Sizes and offsets, bytes, of struct bpf_iter_attach_opts (libbpf.h) and union bpf_iter_link_info (uapi/linux/bpf.h): its `task`. */
const ITER_OPTIONS = 24;
const TASK_INFO = { size: 12, pid: 4 } as const;

/** Reads listeners; holds the loaded iterator between reads. */
export class Observer implements Disposable {
  readonly #object: BpfObject;
  readonly #observations = new SnapshotReader();
  #link: bpf.Ptr<"bpf_link"> | null;
  readonly #room = new ReadBuffer();
  readonly #roomBeside = new ReadBuffer();
  /** This kernel reads the files of one process: since Linux 6.1. */
  #readsOne = true;
  /** Reads in a row that were slow. */
  #slow = 0;
  #beside: Promise<unknown> = Promise.resolve();

  /** @param options.udp also read bound UDP sockets. */
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

  /** One read: each listener once, with all its owners. */
  read(): readonly Listener[] {
    return this.snapshot().listeners;
  }

  /** One read, by group too; the event loop waits for it. */
  snapshot(): Snapshot {
    const before = process.cpuUsage();
    const bytes = this.#read(this.#opened);
    this.#took(before);
    return this.#observations.next(bytes);
  }

  /**
   * What these processes have now, and all others had when they were read last: it costs what these
   * have open, and not what the host has. null: this kernel, or only a whole read, can tell.
   */
  snapshotProcesses(pids: Iterable<number>): Snapshot | null {
    let observed: Snapshot | null = null;
    for (const pid of pids) {
      const bytes = this.#readProcess(pid);
      observed = bytes && this.#observations.ofProcess(pid, bytes);
      if (observed === null) return null;
    }
    return observed;
  }

  #readProcess(pid: number): Buffer | null {
    if (!this.#readsOne) return null;
    const info = Buffer.alloc(TASK_INFO.size);
    info.writeUInt32LE(guard.pid(pid), TASK_INFO.pid);
    const options = { sz: ITER_OPTIONS, link_info: info, link_info_len: info.length };
    const program = this.#object.program(ITERATOR_PROGRAM);
    let link: bpf.Ptr<"bpf_link">;
    try {
      link = checkPtr("bpf_program__attach_iter", bpf.bpf_program__attach_iter(program, options));
    } catch (error) {
      this.#readsOne = !hasCode(error, "E2BIG", "EINVAL");
      return null;
    }
    try {
      return this.#read(link);
    } finally {
      bpf.bpf_link__destroy(link);
    }
  }

  /** All records; they are in `#room`. */
  #read(link: bpf.Ptr<"bpf_link">): Buffer {
    const fd = checkRet("bpf_iter_create", bpf.bpf_iter_create(bpf.bpf_link__fd(link)));
    const room = this.#room;
    try {
      room.empty();
      while (room.fill(again(() => readSync(fd, ...room.rest)))) {}
      return room.bytes;
    } finally {
      libc.close(fd);
    }
  }

  /** Reads take long: a host with many open files. */
  get isSlow(): boolean {
    return this.#slow >= SLOW_READS;
  }

  /** As {@link snapshot}, while the event loop goes on; after those that were asked for before. */
  snapshotBeside(): Promise<Snapshot> {
    const observed = this.#beside.then(() => this.#readBeside());
    this.#beside = observed.catch(() => {});
    return observed;
  }

  async #readBeside(): Promise<Snapshot> {
    const fd = checkRet("bpf_iter_create", bpf.bpf_iter_create(bpf.bpf_link__fd(this.#opened)));
    const room = this.#roomBeside;
    const before = process.cpuUsage();
    try {
      room.empty();
      while (room.fill(await readBeside(fd, room))) {}
      this.#took(before);
      return this.#observations.next(room.bytes);
    } finally {
      libc.close(fd);
    }
  }

  get #opened(): bpf.Ptr<"bpf_link"> {
    if (this.#link === null) throw new Error("Observer is closed");
    return this.#link;
  }

  #took(before: NodeJS.CpuUsage): void {
    const { user, system } = process.cpuUsage(before);
    this.#slow = (user + system) / 1_000 > SLOW_MS ? this.#slow + 1 : 0;
  }

  [Symbol.dispose](): void {
    if (this.#link === null) return;
    bpf.bpf_link__destroy(this.#link);
    this.#link = null;
    this.#object[Symbol.dispose]();
  }
}

function parameters(udp: boolean): Buffer {
  const { size, members: at } = LAYOUT.rm_iter_options;
  const out = Buffer.alloc(size);
  out.writeUInt32LE(statSync("/proc/self/ns/pid").ino, at.pidns);
  out.writeUInt8(udp ? 1 : 0, at.udp);
  return out;
}

/** The kernel gives up for the moment after a million files without a listener (kernel/bpf/bpf_iter.c). */
function again(step: () => number): number {
  for (;;) {
    try {
      return step();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
  }
}

function readBeside(fd: number, room: ReadBuffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const once = () =>
      read(fd, ...room.rest, (error, n) => {
        if (error?.code === "EAGAIN") once();
        else if (error) reject(error);
        else resolve(n);
      });
    once();
  });
}

/** Where reads go, one after the other; it grows to what a host needs. */
class ReadBuffer {
  #buffer = Buffer.allocUnsafe(CHUNK);
  #used = 0;

  empty(): void {
    this.#used = 0;
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#used);
  }

  /** Arguments of read(2) for what is left of it: never too little. */
  get rest(): [buffer: Buffer, at: number, length: number, position: null] {
    if (this.#buffer.length - this.#used < CHUNK) {
      const buffer = Buffer.allocUnsafe(2 * this.#buffer.length + CHUNK);
      this.#buffer.copy(buffer, 0, 0, this.#used);
      this.#buffer = buffer;
    }
    return [this.#buffer, this.#used, this.#buffer.length - this.#used, null];
  }

  /** So many bytes were read; false: there are no more. */
  fill(n: number): boolean {
    this.#used += n;
    return n > 0;
  }
}
