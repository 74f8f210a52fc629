/** Processes of an attacker in which a call on a descriptor hangs, by hang.py. */
import { join } from "node:path";
import { Child, TempDir } from "../host/child.ts";
import { PYTHON, scriptPath } from "../host/script.ts";

export type HangKind = "exec" | "lock" | "close";

/** They hang until it is disposed. */
export class HangingProcesses implements AsyncDisposable {
  readonly #dir = new TempDir();
  readonly #child: Child;

  private constructor(args: readonly string[]) {
    const under = ["unshare", "--mount", "--propagation", "private"];
    const [command = "", ...rest] = [...under, PYTHON, scriptPath("hostile/hang.py"), ...args];
    this.#child = new Child(command, rest, join(this.#dir.path, "log"));
  }

  /** Each listens on the address; returns once all hang. */
  static async start(
    kind: HangKind,
    address: string,
    port: number,
    count = 1,
  ): Promise<HangingProcesses> {
    const mountPoint = new TempDir();
    const args = [kind, mountPoint.path, address, String(port), String(count)];
    const hanging = new HangingProcesses(args);
    hanging.#mountPoint = mountPoint;
    await hanging.#child.until("READY", () => hanging.#child.output().includes("READY"));
    return hanging;
  }

  #mountPoint: TempDir | null = null;

  /** Their pids, and the descriptor that hangs. */
  get processes(): { readonly pid: number; readonly fd: number }[] {
    return [...this.#child.output().matchAll(/^(\d+) (\d+)$/gm)].map(([, pid, fd]) => ({
      pid: Number(pid),
      fd: Number(fd),
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
    this.#mountPoint?.[Symbol.dispose]();
    this.#dir[Symbol.dispose]();
  }
}
