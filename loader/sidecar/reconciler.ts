/** Polls the host and brings the groups in line, in slices between which the event loop turns. */
import { LockedError } from "../errors.ts";
import { message } from "../log.ts";
import type { BindEvents } from "../observe/bind_events.ts";
import { NetnsLiveness } from "../observe/netns_liveness.ts";
import { OtherListeners } from "../observe/other_listeners.ts";
import type { Snapshot } from "../observe/snapshot.ts";
import { matchOwners, type OwnedMatch, ServicesByPort } from "../service/ownership.ts";
import type { Service } from "../service/service.ts";
import { SLICE_MS, SLICE_PAUSE_MS } from "../time_slices.ts";
import { type Clock, Pause, SYSTEM_CLOCK } from "./clock.ts";
import { Pass } from "./pass.ts";
import { PollSchedule, RECONCILE_MS } from "./poll_schedule.ts";
import type { ReconcilerEvents, ReconcilerOptions } from "./sidecar_options.ts";

/** How long a slice waits for the lock, ms; the host is then polled again. */
const LOCK_TIMEOUT_MS = 20;
/** Slices in a row that may find the lock taken without a warning. */
const LOCKED_SLICES = 50;
/** Pause after a failure, ms. */
const RETRY_MS = 200;
/** After so long without a pass, ms, no standby may take clients: a server may listen unseen. */
const BLIND_MS = 2_000;

export class Reconciler implements Disposable {
  /** Reports to {@link addBinds}, so that polls of the host can be rare at rest; or null. */
  binds: Pick<BindEvents, "permit" | "watch"> | null = null;
  readonly #options: ReconcilerOptions;
  readonly #clock: Clock;
  readonly #schedule: PollSchedule;
  readonly #netns = new NetnsLiveness();
  #services: readonly Service[] = [];
  #byPort = new ServicesByPort([]);
  #pass: Pass | null = null;
  /** When the next slice of the pass is made. */
  #resumeMs = 0;
  #snapshot: Snapshot | null = null;
  /** {@link PinTree.changes} at the end of the last slice. */
  #pinChanges: bigint | null = null;
  #lockedSlices = 0;
  /** Since when every pass failed; null: the last one did not. */
  #failingSinceMs: number | null = null;
  #isDisposed = false;
  /** Of the loop; at its end the schedule is asked again. */
  readonly #pause = new Pause();
  #events: ReconcilerEvents = {};

  constructor(options: ReconcilerOptions, services: readonly Service[]) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#schedule = new PollSchedule(this.#clock.now());
    this.replaceServices(services);
  }

  replaceServices(services: readonly Service[]): void {
    this.#services = services;
    this.#byPort = new ServicesByPort(services);
    this.#pass = null;
  }

  /** Polls until disposed. Does not reject: errors go to the journal. */
  async run(events: ReconcilerEvents = {}): Promise<void> {
    this.#events = events;
    this.pollNow();
    while (await this.#isNextDue()) {
      const beganMs = this.#clock.now();
      this.#schedule.permitIfDue(beganMs, () => this.binds?.permit() ?? 0);
      const scope = this.#schedule.take(beganMs, () => this.#mayRest());
      // Not awaited: polls of processes do not wait for one of the host (bench row 9).
      if (scope === "host") void this.#pollHost(beganMs);
      else if (scope) this.#pollProcesses(scope);
      if (this.#clock.now() >= this.#resumeMs) await this.#slice();
      if (scope && scope !== "host") this.#schedule.finish(scope, beganMs, this.#clock.now());
    }
  }

  /** Processes called bind(); reading that took `tookMs`. */
  addBinds(pids: ReadonlySet<number>, tookMs: number): void {
    this.#schedule.addBinds(pids, tookMs, this.#clock.now());
    this.#pause.end();
  }

  /** Selects the binds to report: those that may be of a listener of a service. */
  watch(): void {
    const watched = this.#services.flatMap((service) => service.watched);
    const { journal } = this.#options;
    if (!journal.attempt("binds", () => this.binds?.watch(watched))) this.binds = null;
  }

  /** Polls the whole host as soon as the schedule permits. */
  pollNow(): void {
    this.#schedule.pollHostBy(this.#clock.now());
    this.#pause.end();
  }

  /** Polls the host and makes the first slice; {@link run} makes the others. Does not reject. */
  async pollOnce(): Promise<void> {
    await this.#pollHost(this.#clock.now());
    await this.#slice();
  }

  /** Another process has changed pins since the last slice. */
  get hasForeignChanges(): boolean {
    return this.#options.pinTree.changes !== this.#pinChanges;
  }

  /** Reads the whole host and refreshes every group once, in one slice. */
  async reconcile(): Promise<void> {
    const { pinTree, observer, groups } = this.#options;
    const snapshot = await observer.snapshot();
    using _lock = await pinTree.lock();
    if (this.#isDisposed) return;
    groups.invalidate();
    const pass = this.#prepare(snapshot, true);
    this.#pass = null;
    this.#work(pass, Number.POSITIVE_INFINITY);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#pass = null;
    this.#netns[Symbol.dispose]();
    this.binds = null;
    this.#pause.end();
  }

  /** Waits until a poll or the next slice is due. Returns false after the end. */
  async #isNextDue(): Promise<boolean> {
    while (!this.#isDisposed) {
      const resumeMs = this.#pass ? this.#resumeMs : Infinity;
      const delayMs = Math.min(this.#schedule.dueMs, resumeMs) - this.#clock.now();
      if (delayMs <= 0) return true;
      await this.#pause.for(this.#clock, Math.min(delayMs, RECONCILE_MS));
    }
    return false;
  }

  /** Every change is reported: polling can wait. */
  #mayRest(): boolean {
    if (this.binds === null || this.hasForeignChanges) return false;
    return !this.#services.some(({ isUnsettled }) => isUnsettled);
  }

  async #pollHost(beganMs: number): Promise<void> {
    try {
      const snapshot = await this.#options.observer.snapshot();
      if (this.#isDisposed) return;
      this.#events.observed?.();
      this.#begin(snapshot, true);
    } catch (error) {
      this.#fail(error);
    }
    this.#schedule.finish("host", beganMs, this.#clock.now());
    this.#pause.end();
  }

  #pollProcesses(pids: ReadonlySet<number>): void {
    try {
      // A read of single processes does not show departures, which begin holds.
      const needsHost = this.#pass?.needsHost || this.#services.some(({ manage }) => manage.hold);
      const snapshot = needsHost ? null : this.#options.observer.snapshotProcesses(pids);
      // Nor every member of a group, which taking it on requires.
      if (!snapshot || this.#matches(snapshot).length > 0) {
        this.#schedule.pollHostInstead(this.#clock.now());
      }
      if (snapshot) this.#begin(snapshot, false);
    } catch (error) {
      this.#fail(error);
    }
  }

  #begin(snapshot: Snapshot, isWhole: boolean): void {
    this.#pass = this.#prepare(snapshot, isWhole);
    if (snapshot !== this.#snapshot) this.#schedule.noteChange(this.#clock.now());
    this.#snapshot = snapshot;
    if (this.#pass.isDone && !this.hasForeignChanges) this.#finish();
  }

  /** @param isWhole whether every process was read: groups are taken on, adoptions are checked */
  #prepare(snapshot: Snapshot, isWhole: boolean): Pass {
    const { groups, idleMs } = this.#options;
    const nowMs = this.#clock.boottimeMs();
    const goneNetns = this.#netns.findEnded(groups.emptyNetns(snapshot.groups), nowMs);
    const moved = this.#services.filter((service) => service.locate(goneNetns));
    if (moved.length > 0) this.watch();
    const { queues, listeners } = snapshot;
    const others = new OtherListeners(listeners);
    return new Pass(groups, {
      snapshot,
      conditions: { nowMs, queues, others, idleMs, goneNetns },
      adopting: isWhole ? this.#services.filter(({ adopts }) => adopts) : [],
      matches: isWhole ? this.#matches(snapshot) : [],
    });
  }

  /** Returns the groups to take on: a service covers them, and they are not managed yet. */
  #matches(snapshot: Snapshot): OwnedMatch[] {
    const { groups } = this.#options;
    return groups.select(matchOwners(snapshot.groups, this.#byPort, (name) => groups.has(name)));
  }

  async #slice(): Promise<void> {
    const pass = this.#pass;
    if (pass === null) return;
    try {
      using _lock = await this.#options.pinTree.lock(LOCK_TIMEOUT_MS);
      if (this.#pass !== pass) return; // replaced or dropped meanwhile
      const beganMs = this.#clock.now();
      this.#work(pass, beganMs + SLICE_MS);
      this.#resumeMs = this.#clock.now() + SLICE_PAUSE_MS;
      this.#schedule.noteSlice(this.#resumeMs - SLICE_PAUSE_MS - beganMs);
      if (pass.isDone) this.#finish();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @requires the pin tree's lock */
  #work(pass: Pass, endMs: number): void {
    const { pinTree } = this.#options;
    const isEmptied = this.hasForeignChanges && pass.readForeignChanges();
    if (isEmptied && !this.#services.some(({ waits }) => waits)) this.#events.released?.();
    pass.work(pinTree, () => this.#clock.now() >= endMs);
    this.#pinChanges = pinTree.changes;
  }

  /** The pass is done: polls again when the first hold is due. */
  #finish(): void {
    this.#pass = null;
    this.#lockedSlices = 0;
    this.#failingSinceMs = null;
    this.#options.journal.settled("reconcile");
    this.#events.settled?.(this.#snapshot);
    const { holdDueMs } = this.#options.groups;
    if (holdDueMs === null) return;
    this.#schedule.pollHostBy(this.#clock.now() + holdDueMs - this.#clock.boottimeMs());
  }

  #fail(error: unknown): void {
    if (this.#isDisposed) return;
    this.#pass = null;
    const isLocked = error instanceof LockedError && ++this.#lockedSlices <= LOCKED_SLICES;
    if (!isLocked) this.#options.journal.warn("reconcile", message(error));
    const nowMs = this.#clock.now();
    this.#failingSinceMs ??= nowMs;
    if (nowMs - this.#failingSinceMs >= BLIND_MS) this.#options.groups.failOpen();
    this.#schedule.pollHostBy(nowMs + (isLocked ? LOCK_TIMEOUT_MS : RETRY_MS));
  }
}
