/** A real server that is stopped or killed, with all its processes, and started again. */
import { Child, TempDir } from "../host/child.ts";
import { childrenOf, ended, stopped } from "../host/processes.ts";
import { visit } from "../load/client.ts";
import { until } from "../until.ts";

export interface Recipe {
  readonly port: number;
  /** The addresses clients reach it at. */
  readonly hosts: readonly string[];
  /** Puts its files into the directory; returns its command line. */
  readonly prepare: (directory: TempDir) => readonly [command: string, ...args: string[]];
  /** With which it listens no more, answers whom it has accepted, and exits. */
  readonly graceful: NodeJS.Signals;
  /** It writes `accepted PORT` for each connection. */
  readonly says: boolean;
}

export class Restartable implements AsyncDisposable {
  readonly recipe: Recipe;
  readonly #dir = new TempDir();
  readonly #command: readonly [string, ...string[]];
  #child: Child | undefined;
  /** All that were seen of this start. */
  #pids: number[] = [];
  #starts = 0;

  constructor(recipe: Recipe) {
    this.recipe = recipe;
    this.#command = recipe.prepare(this.#dir);
  }

  /** Returns when it answers at each of its addresses. */
  async start(): Promise<void> {
    const [command, ...args] = this.#command;
    const child = new Child(command, args, this.#dir.file(`log-${++this.#starts}`));
    this.#child = child;
    for (const host of this.recipe.hosts) {
      const answers = { port: this.recipe.port, host, path: "/ready" };
      await child.until(`it serves ${host}`, async () => (await visit(answers)) === "ok");
    }
    this.#look();
  }

  /** Its graceful stop; returns when all of its processes are gone. */
  async stop(): Promise<void> {
    this.#look();
    await this.#child?.stop(this.recipe.graceful);
    await this.#gone();
  }

  /** SIGSTOPs all of its processes: if they are killed now, they have accepted all they ever will. */
  async freeze(): Promise<void> {
    for (const pid of this.#look()) process.kill(pid, "SIGSTOP");
    await until("every thread stands still", () => this.#pids.every(stopped));
  }

  /** SIGKILLs all of its processes, frozen or not; returns when they are gone. */
  async kill(): Promise<void> {
    for (const pid of this.#look()) if (!ended(pid)) process.kill(pid, "SIGKILL");
    await this.#gone();
  }

  /** Client ports of the connections it has said it accepted, since its last start. */
  said(): Set<number> {
    const lines = this.#child?.output().matchAll(/^accepted (\d+)$/gm) ?? [];
    return new Set([...lines].map(([, port]) => Number(port)));
  }

  /** The first of them starts the others, so it is the first to be signalled. */
  #look(): readonly number[] {
    if (!this.#child?.running) return this.#pids;
    const { pid } = this.#child;
    this.#pids = [pid, ...childrenOf(pid)];
    return this.#pids;
  }

  async #gone(): Promise<void> {
    await this.#child?.exited;
    await until("all of its processes are gone", () => this.#pids.every(ended));
    this.#pids = []; // the numbers may be somebody else's from now on
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    this.#dir[Symbol.dispose]();
  }
}
