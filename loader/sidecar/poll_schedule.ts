/**
 * When to poll the host's listeners, and which of them. Pure: every method takes the time (ms of
 * any clock that only goes forward).
 */

/** Longest time between two polls of the whole host. */
export const RECONCILE_MS = 1_000;
/**
 * The same at rest. Only a listener that closes without connections to migrate is noticed later.
 */
export const RESTING_MS = 5_000;
/** Rest begins this long after the last change: listen() may follow bind() late. */
const RESTLESS_MS = 10_000;
/** When to read the process that called bind(), ms; then the whole host once (bench row 9). */
const PROCESS_AFTER_BIND_MS = [1, 4, 10, 50] as const;
const HOST_AFTER_BIND_MS = 200;
/** If more processes are due than this, the whole host is read. */
const MAX_PROCESSES = 8;
/** The pid that a bind event reports for a process outside our pid namespace. */
const UNKNOWN_PID = 0;

/** What a poll reads: processes, by pid, or every process. */
export type PollScope = ReadonlySet<number> | "host";

export class PollSchedule {
  /** Processes to read, by the time they are due; in whole ms, so that many binds share a poll. */
  readonly #processes = new Map<number, ReadonlySet<number>>();
  /**
   * When the host is polled after binds; in whole ms, too. Each bind has its own: listen() may come
   * late.
   */
  readonly #hostAfterBinds = new Set<number>();
  /** When a poll of the host was asked for. */
  #hostMs = Number.POSITIVE_INFINITY;
  /** When processes were due that only a poll of the host can read. */
  #overflowMs = Number.POSITIVE_INFINITY;
  /** When the next periodic poll of the host is considered. */
  #tickMs: number;
  /** When the host was polled last. */
  #polledMs: number;
  #restMs: number;
  /** Polls take at most half of the time: the next of each kind is made no earlier. */
  readonly #earliestMs = { processes: Number.NEGATIVE_INFINITY, host: Number.NEGATIVE_INFINITY };

  constructor(nowMs: number) {
    this.#tickMs = nowMs + RECONCILE_MS;
    this.#polledMs = nowMs;
    this.#restMs = nowMs + RESTLESS_MS;
  }

  /** Processes called bind(): reads them shortly afterwards, and the whole host once. */
  addBinds(pids: ReadonlySet<number>, nowMs: number): void {
    this.noteChange(nowMs);
    for (const delayMs of PROCESS_AFTER_BIND_MS) {
      const dueMs = Math.floor(nowMs + delayMs);
      this.#processes.set(dueMs, new Set([...(this.#processes.get(dueMs) ?? []), ...pids]));
    }
    this.#hostAfterBinds.add(Math.ceil(nowMs + HOST_AFTER_BIND_MS));
  }

  /** Polls the whole host at `dueMs`, or earlier. */
  pollHostBy(dueMs: number): void {
    this.#hostMs = Math.min(this.#hostMs, dueMs);
  }

  /** Processes that were due can only be read with the whole host. */
  pollHostInstead(nowMs: number): void {
    this.#overflowMs = nowMs;
  }

  /** Something changed: there is no rest for a while. */
  noteChange(nowMs: number): void {
    this.#restMs = nowMs + RESTLESS_MS;
  }

  /** Returns when {@link take} may return a poll next. */
  get dueMs(): number {
    let dueMs = Math.max(Math.min(this.#requestedMs, this.#tickMs), this.#earliestMs.host);
    for (const processMs of this.#processes.keys()) {
      dueMs = Math.min(dueMs, Math.max(processMs, this.#earliestMs.processes));
    }
    return dueMs;
  }

  /**
   * Takes the poll that is due; null if none is. There is one poll of the host at a time: until
   * {@link finish} no other one is due.
   * @param mayRest asked once a {@link RECONCILE_MS}: whether every change would be reported
   */
  take(nowMs: number, mayRest: () => boolean): PollScope | null {
    let pids: ReadonlySet<number> = new Set();
    if (nowMs >= this.#earliestMs.processes) pids = this.#takeProcesses(nowMs);
    if (pids.has(UNKNOWN_PID) || pids.size > MAX_PROCESSES) {
      this.pollHostInstead(nowMs);
      pids = new Set();
    }
    if (!this.#isHostDue(nowMs, mayRest)) return pids.size > 0 ? pids : null;
    this.#takeProcesses(nowMs); // part of the host
    this.#overflowMs = Number.POSITIVE_INFINITY;
    this.#hostMs = nowMs >= this.#hostMs ? Number.POSITIVE_INFINITY : this.#hostMs;
    for (const dueMs of this.#hostAfterBinds) {
      if (dueMs <= nowMs) this.#hostAfterBinds.delete(dueMs);
    }
    this.#tickMs = nowMs + RECONCILE_MS;
    this.#polledMs = nowMs;
    this.#earliestMs.host = Number.POSITIVE_INFINITY;
    return "host";
  }

  /** When the host is to be polled, apart from the periodic polls. */
  get #requestedMs(): number {
    return Math.min(this.#hostMs, this.#overflowMs, ...this.#hostAfterBinds);
  }

  #isHostDue(nowMs: number, mayRest: () => boolean): boolean {
    if (nowMs < this.#earliestMs.host) return false;
    if (nowMs >= this.#requestedMs) return true;
    if (nowMs < this.#tickMs) return false;
    this.#tickMs = nowMs + RECONCILE_MS;
    // Half an interval of grace: timers are not exact.
    if (nowMs - this.#polledMs >= RESTING_MS - RECONCILE_MS / 2) return true;
    return nowMs < this.#restMs || !mayRest();
  }

  #takeProcesses(nowMs: number): ReadonlySet<number> {
    const pids = new Set<number>();
    for (const [dueMs, some] of this.#processes) {
      if (dueMs > nowMs) continue;
      this.#processes.delete(dueMs);
      for (const pid of some) pids.add(pid);
    }
    return pids;
  }

  /** A poll has ended: the next begins when at least as much time has passed as this one took. */
  finish(scope: PollScope, beganMs: number, endedMs: number): void {
    const kind = scope === "host" ? "host" : "processes";
    this.#earliestMs[kind] = endedMs + (endedMs - beganMs);
  }
}
