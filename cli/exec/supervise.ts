/** `exec --restart`: does what policy.ts decides, and tells it what happens. */
import type { Status } from "../../loader/operate/status.ts";
import type { Env } from "../env.ts";
import { Child, type Ending, endingText } from "../process/child.ts";
import { TYPED } from "../process/signals.ts";
import { clear } from "./clear.ts";
import { type ExecContext, SUPERVISE_POLL_MS } from "./context.ts";
import { type Action, decide, type Happening, type Start, supervision } from "./policy.ts";
import { getsNoMore, listensOn } from "./progress.ts";

const ENDING = ["SIGTERM", "SIGINT", "SIGQUIT"] as const;
const PASSED = ["SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT"] as const;

/** A draining start is looked at once more: a connection on its way from the queue to a process is in neither. */
const QUIET_LOOKS = 2;

/** Runs the server and restarts it, until a signal ends that; returns when nothing of it runs any more. */
export async function supervise(env: Env, run: ExecContext): Promise<void> {
  const supervisor = new Supervisor(env, run);
  const unsubscribe = [
    env.onSignals(["SIGHUP"], () => supervisor.happened({ type: "restart" })),
    env.onSignals(ENDING, (name) => supervisor.end(env.terminal && TYPED.has(name))),
    env.onSignals(PASSED, (name) => {
      if (!(env.terminal && TYPED.has(name))) supervisor.pass(name);
    }),
  ];
  try {
    // A signal may have come before we listened for it; to restart there was nothing.
    if (env.stop.aborted && env.stop.reason !== "SIGHUP") supervisor.end(false);
    supervisor.happened({ type: "tick" });
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
  /** How often in a row a draining start was quiet. */
  readonly #quiet = new Map<number, number>();
  #state = supervision(performance.now());
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  /** Status is being read. */
  #isLooking = false;
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

  happened(happening: Happening): void {
    if (this.#closed) return;
    const [state, actions] = decide(this.#state, happening, this.#run.times, performance.now());
    this.#state = state;
    try {
      for (const action of actions) this.#act(action);
    } catch (error) {
      this.#fail(error);
    }
    this.#arm();
  }

  /** @param delivered the terminal told the server already */
  end(delivered: boolean): void {
    this.#run.notify("STOPPING=1");
    this.happened({ type: "end", delivered });
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
    const { command, cgroup, times } = this.#run;
    const child = new Child(command, cgroup.child(`start-${number}`), this.#env.vars);
    this.#children.set(number, child);
    const gone = async (ending: Ending) => {
      this.#children.delete(number);
      this.happened({ type: "exited", start: number, how: endingText(ending) });
      await clear(child.cgroup, times.stopTimeoutMs);
    };
    child.ended.then(gone).catch(this.#fail);
  }

  /** While something is under way, time passing is what happens. */
  #arm(): void {
    clearTimeout(this.#timer);
    const { starts, queued } = this.#state;
    const steady = starts.length === 1 && starts[0]?.phase === "serving" && !queued;
    if (this.#closed || steady || this.#isLooking) return;
    this.#timer = setTimeout(() => void this.#look(), SUPERVISE_POLL_MS);
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    try {
      const status = await this.#run.sidecar.status();
      for (const start of this.#closed ? [] : this.#state.starts) {
        if (start.phase === "starting" && this.#listens(start, status)) {
          this.happened({ type: "listens", start: start.number });
          this.#run.notify("READY=1");
        }
        if (start.phase === "draining" && this.#isQuiet(start, status)) {
          this.happened({ type: "quiet", start: start.number });
        }
      }
    } catch (error) {
      this.#warnOnce(error instanceof Error ? error.message : String(error));
    }
    this.#isLooking = false;
    this.happened({ type: "tick" });
  }

  /** Whether it listens on every SPEC that the one it replaces listens on; on any if there is none. */
  #listens(start: Start, status: Status): boolean {
    const child = this.#children.get(start.number);
    if (!child) return false;
    const have = listensOn(status, child.cgroup);
    const serving = this.#state.starts.find(({ phase }) => phase === "serving");
    const replaced = serving && this.#children.get(serving.number);
    const wanted = replaced ? listensOn(status, replaced.cgroup) : new Set<string>();
    return have.size > 0 && [...wanted].every((service) => have.has(service));
  }

  #isQuiet(start: Start, status: Status): boolean {
    const child = this.#children.get(start.number);
    if (!child) return false;
    const { ports, established } = this.#run;
    const pids = child.cgroup.pids();
    // After the status: connections go from the handshake to the queue to a process.
    const quiet = getsNoMore(status, child.cgroup) && established(pids, ports) === 0;
    const looks = quiet ? (this.#quiet.get(start.number) ?? 0) + 1 : 0;
    this.#quiet.set(start.number, looks);
    return looks >= QUIET_LOOKS;
  }

  #warnOnce(text: string): void {
    if (text !== this.#warned) this.#run.say("warn", text);
    this.#warned = text;
  }
}
