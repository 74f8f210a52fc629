/**
 * Reaps children that this process did not start: orphans, of which pid 1 of a container becomes
 * the parent. Node reaps only those that it started, and the rest would stay defunct.
 */
import type { ChildProcess } from "node:child_process";
import { channel } from "node:diagnostics_channel";
import { endedChild, reapChild } from "../sys/own_process.ts";

/** Node publishes each child here before it starts it. */
const STARTED = channel("child_process");
/** Time that Node gets for a child of its own, which hides those behind it, ms. */
const AGAIN_MS = 20;

export class Reaper implements Disposable {
  readonly #ours = new Set<ChildProcess>();
  readonly #unsubscribe: () => void;
  #again: NodeJS.Timeout | undefined;

  /**
   * @param onChildEnd calls the function at each SIGCHLD until its result is called
   * @requires that no child was started before
   */
  constructor(onChildEnd: (reap: () => void) => () => void) {
    STARTED.subscribe(this.#add);
    this.#unsubscribe = onChildEnd(() => this.#reap());
    this.#reap(); // those that ended before
  }

  /** Reaps every orphan that has ended. */
  #reap(): void {
    clearTimeout(this.#again);
    for (let pid = endedChild(); pid !== null; pid = endedChild()) {
      if (this.#isOurs(pid)) {
        this.#again = setTimeout(() => this.#reap(), AGAIN_MS).unref();
        return;
      }
      reapChild(pid);
    }
  }

  readonly #add = (message: unknown): void => {
    const { process } = message as { readonly process: ChildProcess };
    this.#ours.add(process);
    process.once("exit", () => this.#ours.delete(process));
  };

  #isOurs(pid: number): boolean {
    return [...this.#ours].some((child) => child.pid === pid);
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    STARTED.unsubscribe(this.#add);
    clearTimeout(this.#again);
  }
}
