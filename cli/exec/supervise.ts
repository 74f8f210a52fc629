/** `exec --restart`: takes the actions that policy.ts decides, and passes events to it. */
import type { Status } from "../../loader/operate/status.ts";
import type { Env } from "../env.ts";
import { Child, type Ending, endingText } from "../process/child.ts";
import { TYPED } from "../process/signals.ts";
import { clear } from "./clear.ts";
import { type ExecContext, SUPERVISE_POLL_MS } from "./context.ts";
import { type Action, decide, type ServerEvent, type Start, supervision } from "./policy.ts";
import { isDrained, listensOn } from "./progress.ts";

const ENDING = ["SIGTERM", "SIGINT", "SIGQUIT"] as const;
const PASSED = ["SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT"] as const;

/**
 * Polls until a draining start is quiet: a connection between queue and process is seen in neither.
 */
const QUIET_POLLS = 2;

/** Runs and restarts the server until a signal; returns once all its processes have ended. */
export async function supervise(env: Env, run: ExecContext): Promise<void> {
  const supervisor = new Supervisor(env, run);
  const unsubscribe = [
    env.onSignals(["SIGHUP"], () => supervisor.handle({ type: "restart" })),
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
  readonly #children = new Map<number, Child>();
  /** Consecutive polls in which a draining start was quiet. */
  readonly #quiet = new Map<number, number>();
  #state = supervision(performance.now());
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
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
    this.#arm();
  }

  /** @param delivered whether the terminal sent the signal to the server too */
  end(delivered: boolean): void {
    this.#run.notify("STOPPING=1");
    this.handle({ type: "end", delivered });
  }

  pass(name: NodeJS.Signals): void {
    for (const child of this.#children.values()) child.signal(name);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #act(action: Action): void {
    if (action.do === "finish") this.#finish();
    else if (action.do === "say") this.#run.say(action.level, action.text);
    else if (action.do === "start") this.#start(action.start);
    else if (action.do === "kill") this.#children.get(action.start)?.cgroup.kill();
    else this.#children.get(action.start)?.signal(this.#run.stopSignal);
  }

  #start(number: number): void {
    const { command, cgroup, timeouts } = this.#run;
    const child = new Child(command, cgroup.child(`start-${number}`), this.#env.vars);
    this.#children.set(number, child);
    const onEnd = async (ending: Ending) => {
      this.#children.delete(number);
      this.#run.sidecar.poll(); // a hold begins at once, not within a second
      this.handle({ type: "exited", start: number, how: endingText(ending) });
      await clear(child.cgroup, timeouts.stopTimeoutMs);
    };
    child.ended.then(onEnd).catch(this.#fail);
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
        if (start.phase === "starting" && this.#listens(start, status)) {
          this.handle({ type: "listens", start: start.number });
          this.#run.notify("READY=1");
        }
        if (start.phase === "draining" && this.#isQuiet(start, status)) {
          this.handle({ type: "quiet", start: start.number });
        }
      }
    } catch (error) {
      this.#warnOnce(error instanceof Error ? error.message : String(error));
    }
    this.#isPolling = false;
    this.handle({ type: "tick" });
  }

  /**
   * Returns whether a start listens on every SPEC of the start it replaces, or on any if it
   * replaces none.
   */
  #listens(start: Start, status: Status): boolean {
    const child = this.#children.get(start.number);
    if (!child) return false;
    const have = listensOn(status, child.cgroup);
    const serving = this.#state.starts.find(({ phase }) => phase === "serving");
    const replaced = serving && this.#children.get(serving.number);
    const required = replaced ? listensOn(status, replaced.cgroup) : new Set<string>();
    return have.size > 0 && [...required].every((service) => have.has(service));
  }

  #isQuiet(start: Start, status: Status): boolean {
    const child = this.#children.get(start.number);
    if (!child) return false;
    const { ports, established } = this.#run;
    const pids = child.cgroup.pids();
    // After the status: connections go from the handshake to the queue to a process.
    const quiet = isDrained(status, child.cgroup) && established(pids, ports) === 0;
    const polls = quiet ? (this.#quiet.get(start.number) ?? 0) + 1 : 0;
    this.#quiet.set(start.number, polls);
    return polls >= QUIET_POLLS;
  }

  #warnOnce(text: string): void {
    if (text !== this.#warned) this.#run.say("warn", text);
    this.#warned = text;
  }
}
