/**
 * When to poll the host's listeners, and which of them; and when more binds may be reported. Pure:
 * every method takes the time (ms of any clock that only goes forward).
 */
import { TimeShare } from "../time_share.ts";

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
/** While there are too many binds to report, the host is polled this long after one, ms. */
const HOST_IN_FLOOD_MS = 10;
/** A flood of binds ends this long after a bind was not reported, ms. */
const FLOOD_MS = 1_000;
/**
 * Share of the time that binds may cost, since any user can bind without a pause. In a flood no more
 * are reported until that is observed.
 */
const BIND_SHARE = 0.1;
/**
 * How much later that may be if there is no flood, ms: a deploy of many servers takes a second of
 * work. From then on binds cause no polls of their own, and the poll once a second finds listeners.
 */
const MOST_DEBT_MS = 10_000;
/** CPU time of waking up for a batch of binds, ms, which cannot be seen from within. */
const WAKE_MS = 0.2;
/** A poll counts as no longer than this, ms: the machine may have stood still. */
const LONGEST_POLL_MS = 2_000;
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
  /** What binds have cost: reading them, and the polls that they caused. */
  readonly #bindTime = new TimeShare(BIND_SHARE);
  #floodEndsMs = Number.NEGATIVE_INFINITY;
  /** Binds were reported since more were permitted. */
  #isPermitDue = false;
  /** The poll of the host under way was caused by binds. */
  #isHostForBinds = false;
  /** Time of all slices of passes; and of those before the polls under way. */
  #slicesMs = 0;
  readonly #slicesBeforeMs = { processes: 0, host: 0 };
  /** Polls take at most half of the time: the next of each kind is made no earlier. */
  readonly #earliestMs = { processes: Number.NEGATIVE_INFINITY, host: Number.NEGATIVE_INFINITY };

  constructor(nowMs: number) {
    this.#tickMs = nowMs + RECONCILE_MS;
    this.#polledMs = nowMs;
    this.#restMs = nowMs + RESTLESS_MS;
  }

  /**
   * Processes called bind(): reads them shortly afterwards, and the whole host once.
   * @param tookMs time it took to read the binds
   */
  addBinds(pids: ReadonlySet<number>, tookMs: number, nowMs: number): void {
    this.noteChange(nowMs);
    this.#bindTime.spend(tookMs + WAKE_MS, nowMs);
    this.#isPermitDue = true;
    if (this.#bindTime.availableMs - nowMs > MOST_DEBT_MS) return;
    if (nowMs < this.#floodEndsMs) this.#pollHostOnly(nowMs);
    else this.#pollProcesses(pids, nowMs);
  }

  /** Returns when more binds may be reported; Infinity if none were since the last time. */
  get permitMs(): number {
    if (!this.#isPermitDue) return Number.POSITIVE_INFINITY;
    const { availableMs } = this.#bindTime;
    return Math.min(availableMs, Math.max(this.#floodEndsMs, availableMs - MOST_DEBT_MS));
  }

  /**
   * Permits more binds if that is due.
   * @param permit returns how many were not reported since the last time
   */
  permitIfDue(nowMs: number, permit: () => number): void {
    if (nowMs < this.permitMs) return;
    this.#isPermitDue = false;
    if (permit() === 0) return;
    this.noteChange(nowMs);
    this.#floodEndsMs = nowMs + FLOOD_MS;
    this.#pollHostOnly(nowMs);
  }

  #pollProcesses(pids: ReadonlySet<number>, nowMs: number): void {
    for (const delayMs of PROCESS_AFTER_BIND_MS) {
      const dueMs = Math.floor(nowMs + delayMs);
      this.#processes.set(dueMs, new Set([...(this.#processes.get(dueMs) ?? []), ...pids]));
    }
    this.#hostAfterBinds.add(Math.ceil(nowMs + HOST_AFTER_BIND_MS));
  }

  /** Too many binds: one poll of the host soon, and one later, take the place of all others. */
  #pollHostOnly(nowMs: number): void {
    const soonMs = Math.min(this.#hostForBindsMs, Math.ceil(nowMs + HOST_IN_FLOOD_MS));
    this.#processes.clear();
    this.#hostAfterBinds.clear();
    for (const dueMs of [soonMs, Math.ceil(nowMs + HOST_AFTER_BIND_MS)]) {
      this.#hostAfterBinds.add(dueMs);
    }
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

  /** Returns when more binds may be reported, or {@link take} may return a poll. */
  get dueMs(): number {
    const hostMs = Math.min(this.#hostMs, this.#hostForBindsMs, this.#tickMs);
    let dueMs = Math.min(this.permitMs, Math.max(hostMs, this.#earliestMs.host));
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
    this.#slicesBeforeMs.processes = this.#slicesMs;
    if (pids.has(UNKNOWN_PID) || pids.size > MAX_PROCESSES) {
      this.pollHostInstead(nowMs);
      pids = new Set();
    }
    const isForBinds = nowMs >= this.#hostForBindsMs;
    if (!this.#isHostDue(nowMs, mayRest)) return pids.size > 0 ? pids : null;
    this.#isHostForBinds = isForBinds;
    this.#slicesBeforeMs.host = this.#slicesMs;
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

  /** When the host is to be polled because of binds. */
  get #hostForBindsMs(): number {
    return Math.min(this.#overflowMs, ...this.#hostAfterBinds);
  }

  #isHostDue(nowMs: number, mayRest: () => boolean): boolean {
    if (nowMs < this.#earliestMs.host) return false;
    if (nowMs >= Math.min(this.#hostMs, this.#hostForBindsMs)) return true;
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

  /** A slice of a pass took this long. The event loop turns between slices, and polls go on. */
  noteSlice(tookMs: number): void {
    this.#slicesMs += tookMs;
  }

  /** A poll has ended: the next begins when at least as much time has passed as this one took. */
  finish(scope: PollScope, beganMs: number, endedMs: number): void {
    const kind = scope === "host" ? "host" : "processes";
    const tookMs = Math.min(endedMs - beganMs, LONGEST_POLL_MS);
    this.#earliestMs[kind] = endedMs + tookMs;
    if (kind === "host" && !this.#isHostForBinds) return;
    const slicesMs = this.#slicesMs - this.#slicesBeforeMs[kind];
    this.#bindTime.spend(Math.max(0, tookMs - slicesMs), endedMs);
  }
}
