/**
 * Decides when `exec --restart` starts and stops the server: from a state and an event to the next
 * state and actions. Pure: no processes, no clock. A start is one run of the command, by number.
 */
import { durationText } from "../options/values.ts";

/** The state of a start. */
export type Phase =
  /** Runs and is not ready yet. */
  | "starting"
  /** Is the newest start that is ready. */
  | "serving"
  /** Finishes its connections; a newer start is ready. */
  | "draining"
  /** Was sent the stop signal. */
  | "stopping"
  /** Was sent SIGKILL. */
  | "killed";

export interface Start {
  readonly number: number;
  readonly phase: Phase;
  /** When the phase and the start began, ms of any monotonic clock. */
  readonly sinceMs: number;
  readonly startedMs: number;
  /** Whether a warning said that it is not ready. */
  readonly late: boolean;
}

export interface Supervision {
  readonly starts: readonly Start[];
  /** Number of starts so far. */
  readonly count: number;
  /** Whether a restart was requested and has not begun; several requests are one. */
  readonly queued: boolean;
  /** When to start again after an exit, ms; null if that is not scheduled. */
  readonly againMs: number | null;
  /** Back-off after the next exit, ms. */
  readonly backoffMs: number;
  readonly ending: boolean;
}

export interface Timeouts {
  readonly startTimeoutMs: number;
  readonly drainMs: number;
  readonly stopTimeoutMs: number;
}

export type ServerEvent =
  | { readonly type: "tick" }
  /** The start listens, and has passed its ready check. */
  | { readonly type: "ready"; readonly start: number }
  /** The start has no connection left, and gets no new one. */
  | { readonly type: "quiet"; readonly start: number }
  /** `how`: `with code 1`, `by SIGSEGV`. */
  | { readonly type: "exited"; readonly start: number; readonly how: string }
  | { readonly type: "restart" }
  /** `delivered`: the terminal sent the signal to the server too. */
  | { readonly type: "end"; readonly delivered: boolean };

export type Action =
  | { readonly do: "start"; readonly start: number }
  /** `explain`: say where it listens instead. */
  | { readonly do: "stop" | "kill" | "explain"; readonly start: number }
  | { readonly do: "say"; readonly level: "info" | "warn"; readonly text: string }
  | { readonly do: "finish" };

/** Back-off after an exit: first, longest; and the run time after which it is the first again. */
const BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;
const STEADY_MS = 10_000;
/** A start that is ready sooner after another one joins its generation (loader/core/plan.ts). */
const SETTLE_MS = 1_200;

/** Returns the first state; its first tick starts the server. */
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

/** Returns the next state, and the actions to take. */
export function decide(
  before: Supervision,
  event: ServerEvent,
  timeouts: Timeouts,
  nowMs: number,
): [Supervision, Action[]] {
  const step = new Step(before, timeouts, nowMs);
  step.handle(event);
  step.checkTimeouts();
  step.begin();
  return [step.state, step.actions];
}

/** A step: the state it changes, and its actions. */
class Step {
  state: Supervision;
  readonly actions: Action[] = [];
  readonly #timeouts: Timeouts;
  readonly #nowMs: number;

  constructor(state: Supervision, timeouts: Timeouts, nowMs: number) {
    this.state = state;
    this.#timeouts = timeouts;
    this.#nowMs = nowMs;
  }

  handle(event: ServerEvent): void {
    if (event.type === "restart") this.#set({ queued: !this.state.ending });
    else if (event.type === "end") this.#end(event.delivered);
    else if (event.type !== "tick") {
      const start = this.state.starts.find(({ number }) => number === event.start);
      if (!start) return;
      if (event.type === "exited") this.#exited(start, event.how);
      else if (event.type === "ready") this.#ready(start);
      else if (start.phase === "draining") this.#stop(start);
    }
  }

  checkTimeouts(): void {
    const { startTimeoutMs, drainMs, stopTimeoutMs } = this.#timeouts;
    for (const start of this.state.starts) {
      const forMs = this.#nowMs - start.sinceMs;
      if (start.phase === "starting" && forMs >= startTimeoutMs && !start.late) this.#late(start);
      if (start.phase === "draining" && forMs >= drainMs) {
        const time = durationText(drainMs);
        this.#warn(`start ${start.number} still has connections after ${time}: stopping it`);
        this.#stop(start);
      }
      if (start.phase === "stopping" && forMs >= stopTimeoutMs) {
        const time = durationText(stopTimeoutMs);
        this.#warn(`start ${start.number} did not stop within ${time}: sending SIGKILL`);
        this.#enter(start, "killed");
        this.actions.push({ do: "kill", start: start.number });
      }
    }
  }

  /** Starts the server if that is due and no other start is in progress. */
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

  #ready(start: Start): void {
    if (start.phase !== "starting") return;
    for (const older of this.state.starts) {
      if (older.phase === "serving") this.#enter(older, "draining");
    }
    this.#enter(start, "serving");
    if (start.number > 1) this.#say(`start ${start.number} is ready`);
  }

  #exited(start: Start, how: string): void {
    this.#set({ starts: this.state.starts.filter((other) => other !== start) });
    if (this.state.ending) return;
    const text = `start ${start.number} ended ${how}`;
    if (start.phase === "starting" || start.phase === "serving") this.#failed(start, text);
    else this.#say(text);
  }

  /** A start ended unstopped: another replaces it, or the server is started again later. */
  #failed(start: Start, text: string): void {
    const of = (phase: Phase) => this.state.starts.findLast((other) => other.phase === phase);
    const other = of("serving") ?? of("draining");
    const next = of("starting");
    if (other) {
      if (other.phase === "draining") this.#enter(other, "serving");
      this.#warn(`${text}: start ${other.number} stays`);
    } else if (next) {
      this.#warn(`${text}: start ${next.number} is starting`);
    } else {
      const steady = this.#nowMs - start.startedMs >= STEADY_MS;
      const waitMs = steady ? BACKOFF_MS : this.state.backoffMs;
      const backoffMs = Math.min(2 * waitMs, MAX_BACKOFF_MS);
      this.#set({ againMs: this.#nowMs + waitMs, backoffMs });
      this.#warn(`${text}: starting again in ${waitMs} ms`);
    }
  }

  #late(start: Start): void {
    const time = durationText(this.#timeouts.startTimeoutMs);
    const serving = this.state.starts.find(({ phase }) => phase === "serving");
    const text = `start ${start.number} is not ready after ${time}`;
    this.actions.push({ do: "explain", start: start.number });
    if (serving) {
      this.#warn(`${text}: stopping it, start ${serving.number} stays`);
      this.#stop(start);
    } else {
      this.#warn(`${text}: still waiting`);
      this.#change(start, { late: true });
    }
  }

  #end(delivered: boolean): void {
    this.#set({ ending: true, queued: false, againMs: null });
    for (const start of this.state.starts) {
      if (start.phase === "killed") continue;
      // A second signal is passed on; the stop timeout began with the first.
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
