/** Reads every process of the host with its namespaces, by the task iterator. */
import { statSync } from "node:fs";
import type { BpfLink } from "../bpf/link.ts";
import { BpfObject } from "../bpf/object.ts";
import { LAYOUT, PROCESSES_PROGRAM, RODATA } from "../core/abi.ts";
import { Owned } from "../owned.ts";

/** A process, and inode numbers of its namespaces. A thread in another one counts as a process. */
export interface ProcessNamespaces {
  readonly pid: number;
  readonly netns: number;
  readonly mntns: number;
}

/** Keeps the iterator loaded between reads. */
export class ProcessList implements Disposable {
  readonly #own: Disposable;
  readonly #link: BpfLink;

  constructor() {
    using own = new Owned();
    const object = own.use(new BpfObject("processes"));
    const pidns = statSync("/proc/self/ns/pid").ino;
    object.setData(RODATA, LAYOUT.rm_iter_options.encode({ pidns, udp: false }));
    object.load();
    this.#link = own.use(object.attachIterator(PROCESSES_PROGRAM, null));
    this.#own = own.move();
  }

  /** Blocks the event loop: 1 ms for 1,000 processes. */
  read(): ProcessNamespaces[] {
    const bytes = this.#link.readIterator();
    const count = bytes.length / LAYOUT.rm_process.size;
    return Array.from({ length: count }, (_, i) =>
      LAYOUT.rm_process.decode(bytes, i * LAYOUT.rm_process.size),
    );
  }

  [Symbol.dispose](): void {
    this.#own[Symbol.dispose]();
  }
}
