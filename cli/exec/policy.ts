/**
 * When `exec --restart` starts and stops the server: a state and what happens -> the next state and
 * what to do. Pure: no processes, no clock. A start is one run of the command, by number.
 */
import { durationText } from "../options/values.ts";

/** Where a start is in its life. */
export type Phase =
  /** It runs and does not listen yet. */
  | "starting"
  /** It listens, and is the newest that does. */
  | "serving"
  /** A newer one listens; it finishes its connections. */
  | "draining"
  /** It was asked to stop. */
  | "stopping"
  /** It was sent SIGKILL. */
  | "killed";

export interface Start {
  readonly number: number;
  readonly phase: Phase;
  /** When it came into that phase, and when it was started: ms of any clock that only rises. */
  readonly sinceMs: number;
  readonly startedMs: number;
  /** That it does not listen was said. */
  readonly late: boolean;
}

export interface Supervision {
  readonly starts: readonly Start[];
  /** Starts so far. */
  readonly count: number;
  /** A restart was asked for and has not begun; more than one are one. */
  readonly queued: boolean;
  /** When to start again after an exit; null: not waiting for that. */
  readonly againMs: number | null;
  /** How long to wait before that, the next time. */
  readonly backoffMs: number;
  readonly ending: boolean;
}

export interface Times {
  readonly startTimeoutMs: number;
  readonly drainMs: number;
  readonly stopTimeoutMs: number;
}

export type Happening =
  | { readonly type: "tick" }
  | { readonly type: "listens"; readonly start: number }
  /** It has no connection left, and gets no new ones. */
  | { readonly type: "quiet"; readonly start: number }
  /** `how`: `with code 1`, `by SIGSEGV`. */
  | { readonly type: "exited"; readonly start: number; readonly how: string }
  | { readonly type: "restart" }
  /** `delivered`: the server got that signal too, from the terminal. */
  | { readonly type: "end"; readonly delivered: boolean };

export type Action =
  | { readonly do: "start"; readonly start: number }
  | { readonly do: "stop" | "kill"; readonly start: number }
  | { readonly do: "say"; readonly level: "info" | "warn"; readonly text: string }
  | { readonly do: "finish" };

/** Back-off after an exit: the first, the longest, and how long a start runs until it is the first again. */
const BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;
const STEADY_MS = 10_000;
/** A start that listens sooner after another belongs to its generation, and would not be preferred (loader/core/plan.ts). */
const SETTLE_MS = 1_200;

/** Nothing runs yet; the first tick starts the server. */
export function supervision(nowMs: number): Supervision {
  return {
    starts: [],
    count: 0,
    queued: false,
    againMs: nowMs,
    backoffMs: BACKOFF_MS,
    ending: false,
  };
}

/** One step. */
export function decide(
  before: Supervision,
  happening: Happening,
  times: Times,
  nowMs: number,
): [Supervision, Action[]] {
  const step = new Step(before, times, nowMs);
  step.happened(happening);
  step.timeouts();
  step.begin();
  return [step.state, step.actions];
}

/** A step under way: a state to change, and what to do. */
class Step {
  state: Supervision;
  readonly actions: Action[] = [];
  readonly #times: Times;
  readonly #nowMs: number;

  constructor(state: Supervision, times: Times, nowMs: number) {
    this.state = state;
    this.#times = times;
    this.#nowMs = nowMs;
  }

  happened(happening: Happening): void {
    if (happening.type === "restart") this.#set({ queued: !this.state.ending });
    else if (happening.type === "end") this.#end(happening.delivered);
    else if (happening.type !== "tick") {
      const start = this.state.starts.find(({ number }) => number === happening.start);
      if (!start) return;
      if (happening.type === "exited") this.#exited(start, happening.how);
      else if (happening.type === "listens") this.#listens(start);
      else if (start.phase === "draining") this.#stop(start);
    }
  }

  timeouts(): void {
    const { startTimeoutMs, drainMs, stopTimeoutMs } = this.#times;
    for (const start of this.state.starts) {
      const forMs = this.#nowMs - start.sinceMs;
      if (start.phase === "starting" && forMs >= startTimeoutMs && !start.late) this.#late(start);
      if (start.phase === "draining" && forMs >= drainMs) {
        const time = durationText(drainMs);
        this.#warn(`start ${start.number} still has connections after ${time}: stopping it anyway`);
        this.#stop(start);
      }
      if (start.phase === "stopping" && forMs >= stopTimeoutMs) {
        const time = durationText(stopTimeoutMs);
        this.#warn(`start ${start.number} did not stop within ${time}: SIGKILL`);
        this.#enter(start, "killed");
        this.actions.push({ do: "kill", start: start.number });
      }
    }
  }

  /** Starts the server, if it is time: nothing else is under way. */
  begin(): void {
    const { starts, againMs, queued, ending } = this.state;
    if (ending) {
      if (starts.length === 0) this.actions.push({ do: "finish" });
      return;
    }
    const [only] = starts;
    const due = againMs !== null && (queued || this.#nowMs >= againMs);
    const settled =
      starts.length === 1 && only?.phase === "serving" && this.#nowMs - only.sinceMs >= SETTLE_MS;
    if (!due && !(queued && settled)) return;
    const number = this.state.count + 1;
    const at = this.#nowMs;
    const start: Start = { number, phase: "starting", sinceMs: at, startedMs: at, late: false };
    this.#set({ starts: [...starts, start], count: number, queued: false, againMs: null });
    if (!due) this.#say(`restart: start ${number} begins beside start ${only?.number}`);
    this.actions.push({ do: "start", start: number });
  }

  #listens(start: Start): void {
    if (start.phase !== "starting") return;
    for (const older of this.state.starts) {
      if (older.phase === "serving") this.#enter(older, "draining");
    }
    this.#enter(start, "serving");
    if (start.number > 1) this.#say(`start ${start.number} listens`);
  }

  #exited(start: Start, how: string): void {
    this.#set({ starts: this.state.starts.filter((other) => other !== start) });
    if (this.state.ending) return;
    const text = `start ${start.number} ended ${how}`;
    if (start.phase === "starting" || start.phase === "serving") this.#failed(start, text);
    else this.#say(text);
  }

  /** It ended unasked: another takes its place, or it is started again after a while. */
  #failed(start: Start, text: string): void {
    const of = (phase: Phase) => this.state.starts.findLast((other) => other.phase === phase);
    const other = of("serving") ?? of("draining");
    const next = of("starting");
    if (other) {
      if (other.phase === "draining") this.#enter(other, "serving");
      this.#warn(`${text}: start ${other.number} stays`);
    } else if (next) {
      this.#warn(`${text}: start ${next.number} is on its way`);
    } else {
      const steady = this.#nowMs - start.startedMs >= STEADY_MS;
      const waitMs = steady ? BACKOFF_MS : this.state.backoffMs;
      const backoffMs = Math.min(2 * waitMs, MAX_BACKOFF_MS);
      this.#set({ againMs: this.#nowMs + waitMs, backoffMs });
      this.#warn(`${text}: starting again in ${waitMs} ms`);
    }
  }

  #late(start: Start): void {
    const time = durationText(this.#times.startTimeoutMs);
    const serving = this.state.starts.find(({ phase }) => phase === "serving");
    const text = `start ${start.number} does not listen after ${time}`;
    if (serving) {
      this.#warn(`${text}: stopping it, start ${serving.number} stays`);
      this.#stop(start);
    } else {
      this.#warn(`${text}: waiting on`);
      this.#change(start, { late: true });
    }
  }

  #end(delivered: boolean): void {
    this.#set({ ending: true, queued: false, againMs: null });
    for (const start of this.state.starts) {
      if (start.phase === "killed") continue;
      // A second signal is passed on; the time to stop in began with the first.
      if (start.phase !== "stopping") this.#enter(start, "stopping");
      if (!delivered) this.actions.push({ do: "stop", start: start.number });
    }
  }

  #stop(start: Start): void {
    this.#enter(start, "stopping");
    this.actions.push({ do: "stop", start: start.number });
  }

  #enter(start: Start, phase: Phase): void {
    this.#change(start, { phase, sinceMs: this.#nowMs });
  }

  #change(start: Start, to: Partial<Start>): void {
    const { starts } = this.state;
    this.#set({ starts: starts.map((it) => (it.number === start.number ? { ...it, ...to } : it)) });
  }

  #set(to: Partial<Supervision>): void {
    this.state = { ...this.state, ...to };
  }

  #say(text: string): void {
    this.actions.push({ do: "say", level: "info", text });
  }

  #warn(text: string): void {
    this.actions.push({ do: "say", level: "warn", text });
  }
}
