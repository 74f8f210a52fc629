/** A few processes with many groups and many open files: what a big host is to the sidecar. */
import type { ChildProcess } from "node:child_process";
import { message } from "./child.ts";
import { FILES_PER_PROCESS } from "./fds.ts";
import { forkUnder } from "./fork.ts";

/** The files one of the processes opens. */
export interface Share {
  readonly port: number;
  /** Numbers of the groups, each with its own address. */
  readonly from: number;
  readonly to: number;
  /** Listeners in each group. */
  readonly listeners: number;
  /** Open files that are not sockets. */
  readonly files: number;
}

/** Returns the address of a group, in 127.0.0.0/8. */
export function addressOf(group: number): string {
  return `127.${1 + (group >> 16)}.${(group >> 8) & 255}.${group & 255}`;
}

export class BigHost implements Disposable {
  readonly #processes: ChildProcess[] = [];

  /** Opens the groups from `from` up to `to` on one port, with `listeners` each. */
  async groups(port: number, from: number, to: number, listeners: number): Promise<void> {
    const each = Math.floor(FILES_PER_PROCESS / listeners);
    for (let first = from; first < to; first += each) {
      const last = Math.min(to, first + each);
      await this.#open({ port, from: first, to: last, listeners, files: 0 });
    }
  }

  /** Opens `count` more files. */
  async files(count: number): Promise<void> {
    for (let left = count; left > 0; left -= FILES_PER_PROCESS) {
      const files = Math.min(left, FILES_PER_PROCESS);
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
