/** Many groups, and many open files, of a few processes: what a big host is to the sidecar. */
import type { ChildProcess } from "node:child_process";
import { message } from "./child.ts";
import { forkUnder } from "./fork.ts";

/** Less than the usual limit of one process (RLIMIT_NOFILE), its own files included. */
const FILES_EACH = 15_000;

/** What one of the processes is to open. */
export interface Share {
  readonly port: number;
  /** Groups by number, each an address of its own. */
  readonly from: number;
  readonly to: number;
  /** Listeners in each group. */
  readonly listeners: number;
  /** Other open files. */
  readonly files: number;
}

/** The address of a group, in 127.0.0.0/8. */
export function addressOf(group: number): string {
  return `127.${1 + (group >> 16)}.${(group >> 8) & 255}.${group & 255}`;
}

/** Owns the processes. */
export class BigHost implements Disposable {
  readonly #processes: ChildProcess[] = [];

  /** Groups from `from` up to `to`, of `listeners` each, on one port. */
  async groups(port: number, from: number, to: number, listeners: number): Promise<void> {
    const each = Math.floor(FILES_EACH / listeners);
    for (let first = from; first < to; first += each) {
      const last = Math.min(to, first + each);
      await this.#open({ port, from: first, to: last, listeners, files: 0 });
    }
  }

  /** So many more open files. */
  async files(count: number): Promise<void> {
    for (let left = count; left > 0; left -= FILES_EACH) {
      const files = Math.min(left, FILES_EACH);
      await this.#open({ port: 0, from: 0, to: 0, listeners: 0, files });
    }
  }

  async #open(share: Share): Promise<void> {
    const path = new URL("./big_host_main.js", import.meta.url);
    const process = forkUnder([], path, [JSON.stringify(share)]);
    this.#processes.push(process);
    await message(process);
  }

  [Symbol.dispose](): void {
    for (const process of this.#processes) process.kill("SIGKILL");
  }
}
