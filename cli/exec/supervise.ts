/** `exec --restart`: takes the actions that policy.ts decides, and passes events to it. */
import type { Status } from "../../loader/operate/status.ts";
import type { Env } from "../env.ts";
import { type Ending, endingText } from "../process/child.ts";
import { TYPED } from "../process/signals.ts";
import { clear } from "./clear.ts";
import { ENDING, type ExecContext, SUPERVISE_POLL_MS } from "./context.ts";
import { type Action, decide, type ServerEvent, type Start, supervision } from "./policy.ts";
import { isDrained, listensOn } from "./progress.ts";
import { Server } from "./server_start.ts";

const PASSED = ["SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT"] as const;

/**
 * Polls until a draining start is quiet: a connection between queue and process is seen in neither.
 */
const QUIET_POLLS = 2;

/** Runs and restarts the server until a signal; returns once all its processes have ended. */
export async function supervise(env: Env, run: ExecContext): Promise<void> {
  const supervisor = new Supervisor(env, run);
  const unsubscribe = [
    env.onSignals(["SIGHUP"], () => supervisor.restart()),
    env.onSignals(ENDING, (name) => supervisor.end(env.terminal && TYPED.has(name))),
    env.onSignals(PASSED, (name) => {
      if (!(env.terminal && TYPED.has(name))) supervisor.pass(name);
    }),
  ];
  try {
    // A signal may have come before the handlers were set; then there was no server to restart.
    if (env.stop.aborted && env.stop.reason !== "SIGHUP") supervisor.end(false);
    supervisor.handle({ type: "tick" });
    await supervisor.finished;
  } finally {
    supervisor.close();
    for (const undo of unsubscribe) undo();
  }
}

class Supervisor {
  readonly finished: Promise<void>;
  readonly #env: Env;
  readonly #run: ExecContext;
  readonly #servers = new Map<number, Server>();
  /** Consecutive polls in which a draining start was quiet. */
  readonly #quiet = new Map<number, number>();
  #state = supervision(performance.now());
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  /** The service manager waits for the end of the first start, or of a restart. */
  #owesReady = true;
  /** A poll is reading status. */
  #isPolling = false;
  #warned = "";
  #finish: () => void = () => {};
  #fail: (error: unknown) => void = () => {};

  constructor(env: Env, run: ExecContext) {
    this.#env = env;
    this.#run = run;
    this.finished = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
  }

  handle(event: ServerEvent): void {
    if (this.#closed) return;
    const [state, actions] = decide(this.#state, event, this.#run.timeouts, performance.now());
    this.#state = state;
    try {
      for (const action of actions) this.#act(action);
    } catch (error) {
      this.#fail(error);
    }
    this.#sayReady();
    this.#arm();
  }

  restart(): void {
    if (this.#state.ending) return;
    if (!this.#owesReady) this.#run.manager.reloading();
    this.#owesReady = true;
    this.handle({ type: "restart" });
  }

  /** @param delivered whether the terminal sent the signal to the server too */
  end(delivered: boolean): void {
    this.#run.manager.stopping();
    this.#owesReady = false;
    this.handle({ type: "end", delivered });
  }

  pass(name: NodeJS.Signals): void {
    for (const start of this.#servers.keys()) this.#signal(start, name);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Tells the service manager that a start or restart is over, as one that failed is too. */
  #sayReady(): void {
    const { starts, queued } = this.#state;
    const has = (wanted: Start["phase"]) => starts.some(({ phase }) => phase === wanted);
    if (!this.#owesReady || queued || has("starting") || !has("serving")) return;
    this.#owesReady = false;
    this.#run.manager.ready();
  }

  #act(action: Action): void {
    if (action.do === "finish") this.#finish();
    else if (action.do === "say") this.#run.say(action.level, action.text);
    else if (action.do === "start") this.#start(action.start);
    else if (action.do === "explain") this.#explain(action.start);
    else if (action.do === "kill") this.#servers.get(action.start)?.cgroup.kill();
    else this.#signal(action.start, this.#run.stopSignal);
  }

  #explain(start: number): void {
    const text = this.#servers.get(start)?.elsewhere();
    if (text) this.#run.say("warn", `start ${start}: ${text}`);
  }

  /** Sends a signal to a start. If that is not permitted, the stop timeout ends it. */
  #signal(start: number, name: NodeJS.Signals): void {
    try {
      this.#servers.get(start)?.signal(name);
    } catch (error) {
      this.#run.say("warn", error instanceof Error ? error.message : String(error));
    }
  }

  #start(number: number): void {
    const phase = () => this.#state.starts.find((start) => start.number === number)?.phase;
    const server = new Server(this.#run, number, this.#env.vars, {
      hasListened: () => phase() !== "starting",
      isStopping: () => !["starting", "serving", "draining"].includes(phase() ?? ""),
    });
    this.#servers.set(number, server);
    const onEnd = async (ending: Ending) => {
      this.#servers.delete(number);
      this.#run.sidecar.poll(); // a hold begins at once, not within a second
      this.handle({ type: "exited", start: number, how: endingText(ending) });
      await clear(server.cgroup, this.#run.timeouts.stopTimeoutMs);
    };
    server.ended.then(onEnd).catch(this.#fail);
  }

  /** Schedules the next poll, unless one start serves and no restart is queued. */
  #arm(): void {
    clearTimeout(this.#timer);
    const { starts, queued } = this.#state;
    const steady = starts.length === 1 && starts[0]?.phase === "serving" && !queued;
    if (this.#closed || steady || this.#isPolling) return;
    this.#timer = setTimeout(() => void this.#poll(), SUPERVISE_POLL_MS);
  }

  async #poll(): Promise<void> {
    this.#isPolling = true;
    try {
      const status = await this.#run.sidecar.status();
      for (const start of this.#closed ? [] : this.#state.starts) {
        const type = this.#progress(start, status);
        if (type !== null) this.handle({ type, start: start.number });
      }
    } catch (error) {
      this.#warnOnce(error instanceof Error ? error.message : String(error));
    }
    this.#isPolling = false;
    this.handle({ type: "tick" });
  }

  /** Returns what has become of a start; null: nothing that changes its phase. */
  #progress(start: Start, status: Status): "ready" | "quiet" | null {
    if (start.phase === "starting" && this.#isReady(start, status)) return "ready";
    if (start.phase === "draining" && this.#isQuiet(start, status)) return "quiet";
    return null;
  }

  /**
   * Returns whether a start is ready on every SPEC of the start it replaces, or on any if it
   * replaces none.
   */
  #isReady(start: Start, status: Status): boolean {
    const server = this.#servers.get(start.number);
    if (!server) return false;
    const have = listensOn(status, server.cgroup);
    const serving = this.#state.starts.find(({ phase }) => phase === "serving");
    const replaced = serving && this.#servers.get(serving.number);
    const required = replaced ? listensOn(status, replaced.cgroup) : new Set<string>();
    return have.size > 0 && [...required].every((service) => have.has(service));
  }

  #isQuiet(start: Start, status: Status): boolean {
    const cgroup = this.#servers.get(start.number)?.cgroup;
    if (!cgroup) return false;
    // After the status: connections go from the handshake to the queue to a process.
    const quiet = isDrained(status, cgroup) && this.#run.sockets.accepted(cgroup.pids()) === 0;
    const polls = quiet ? (this.#quiet.get(start.number) ?? 0) + 1 : 0;
    this.#quiet.set(start.number, polls);
    return polls >= QUIET_POLLS;
  }

  #warnOnce(text: string): void {
    if (text !== this.#warned) this.#run.say("warn", text);
    this.#warned = text;
  }
}
