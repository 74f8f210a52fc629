/** A real server that a test stops or kills, with all its processes, and starts again. */
import { Child, TempDir } from "../helpers/host/child.ts";
import { childrenOf, ended, stopped } from "../helpers/host/processes.ts";
import { visit } from "../helpers/load/client.ts";
import { until } from "../helpers/until.ts";

export interface Recipe {
  readonly port: number;
  /** The addresses that clients connect to. */
  readonly hosts: readonly string[];
  /** Writes its files into the directory; returns its command line. */
  readonly prepare: (directory: TempDir) => readonly [command: string, ...args: string[]];
  /**
   * The signal on which it closes its listeners, answers the connections it has accepted, and
   * exits.
   */
  readonly graceful: NodeJS.Signals;
  /** Whether it prints `accepted PORT` for each connection. */
  readonly reports: boolean;
}

export class Restartable implements AsyncDisposable {
  readonly recipe: Recipe;
  readonly #dir = new TempDir();
  readonly #command: readonly [string, ...string[]];
  #child: Child | undefined;
  /** Every process of this start that was seen. */
  #pids: number[] = [];
  #starts = 0;

  constructor(recipe: Recipe) {
    this.recipe = recipe;
    this.#command = recipe.prepare(this.#dir);
  }

  /** Starts it; returns when it answers at each of its addresses. */
  async start(): Promise<void> {
    const [command, ...args] = this.#command;
    const child = new Child(command, args, this.#dir.file(`log-${++this.#starts}`));
    this.#child = child;
    for (const host of this.recipe.hosts) {
      const answers = { port: this.recipe.port, host, path: "/ready" };
      await child.until(`it serves ${host}`, async () => (await visit(answers)) === "ok");
    }
    this.#list();
  }

  /** Stops it gracefully; returns when all of its processes have exited. */
  async stop(): Promise<void> {
    this.#list();
    await this.#child?.stop(this.recipe.graceful);
    await this.#exited();
  }

  /** Sends SIGSTOP to all of its processes: they accept nothing more before {@link kill}. */
  async freeze(): Promise<void> {
    for (const pid of this.#list()) process.kill(pid, "SIGSTOP");
    await until("every thread is stopped", () => this.#pids.every(stopped));
  }

  /** Sends SIGKILL to all of its processes, frozen or not; returns when they have exited. */
  async kill(): Promise<void> {
    for (const pid of this.#list()) if (!ended(pid)) process.kill(pid, "SIGKILL");
    await this.#exited();
  }

  /** Returns the client ports it has reported as accepted since its last start. */
  reported(): Set<number> {
    const lines = this.#child?.output().matchAll(/^accepted (\d+)$/gm) ?? [];
    return new Set([...lines].map(([, port]) => Number(port)));
  }

  /** Lists its processes; the first is the parent of the others, so it is signalled first. */
  #list(): readonly number[] {
    if (!this.#child?.running) return this.#pids;
    const { pid } = this.#child;
    this.#pids = [pid, ...childrenOf(pid)];
    return this.#pids;
  }

  async #exited(): Promise<void> {
    await this.#child?.exited;
    await until("all of its processes have exited", () => this.#pids.every(ended));
    this.#pids = []; // another process may reuse these pids
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    this.#dir[Symbol.dispose]();
  }
}
