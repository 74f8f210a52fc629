/** Polls the host and brings the groups in line, in slices between which the event loop turns. */
import type { PinTree } from "../bpf/pin_tree.ts";
import { LockedError } from "../errors.ts";
import { type Journal, message } from "../log.ts";
import { NetnsLiveness } from "../net/netns_liveness.ts";
import type { Observer } from "../observe/observer.ts";
import type { Snapshot } from "../observe/snapshot.ts";
import { SLICE_MS } from "../time_slices.ts";
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import { matchOwner, type OwnedMatch, ServicesByPort } from "./ownership.ts";
import { Pass, type ReconciledGroups } from "./pass.ts";
import { PollSchedule, RECONCILE_MS } from "./poll_schedule.ts";
import type { Service } from "./service.ts";

/** Pause between two slices, ms: a command can take the lock. */
const PAUSE_MS = 1;
/** How long a slice waits for the lock, ms; the host is then polled again. */
const LOCK_TIMEOUT_MS = 20;
/** Slices in a row that may find the lock taken without a warning. */
const LOCKED_SLICES = 50;

export interface ReconcilerOptions {
  readonly pinTree: PinTree;
  readonly observer: Pick<Observer, "snapshot" | "snapshotProcesses">;
  readonly groups: ReconciledGroups;
  readonly journal: Journal;
  /** A group is given up after nothing has listened in it for this long. */
  readonly idleMs: number;
  readonly clock?: Clock;
}

export class Reconciler implements Disposable {
  /** Every bind() is reported by {@link addBinds}, so polls of the host can be rare at rest. */
  hasBindEvents = false;
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
  #isDisposed = false;
  /** Wakes the loop, which then asks the schedule again. */
  #wake = () => {};
  #released = () => {};

  constructor(options: ReconcilerOptions, services: readonly Service[]) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#schedule = new PollSchedule(this.#clock.now());
    this.replaceServices(services);
  }

  /** Replaces the services and drops the pass under way. */
  replaceServices(services: readonly Service[]): void {
    this.#services = services;
    this.#byPort = new ServicesByPort(services);
    this.#pass = null;
  }

  /**
   * Polls until disposed. Does not reject: errors go to the journal.
   * @param released called after `detach` has taken the last group from us
   */
  async run(released: () => void = () => {}): Promise<void> {
    this.#released = released;
    this.pollNow();
    while (await this.#isNextDue()) {
      const beganMs = this.#clock.now();
      const scope = this.#schedule.take(beganMs, () => this.#mayRest());
      // Not awaited: polls of processes do not wait for one of the host (bench row 9).
      if (scope === "host") void this.#pollHost(beganMs);
      else if (scope) this.#pollProcesses(scope);
      if (this.#clock.now() >= this.#resumeMs) await this.#slice();
      if (scope && scope !== "host") this.#schedule.finish(scope, beganMs, this.#clock.now());
    }
  }

  /** Processes called bind(). */
  addBinds(pids: ReadonlySet<number>): void {
    this.#schedule.addBinds(pids, this.#clock.now());
    this.#wake();
  }

  /** Polls the whole host as soon as the schedule permits. */
  pollNow(): void {
    this.#schedule.pollHostBy(this.#clock.now());
    this.#wake();
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
    this.#wake();
  }

  /** Waits until a poll or the next slice is due. Returns false after the end. */
  async #isNextDue(): Promise<boolean> {
    while (!this.#isDisposed) {
      const resumeMs = this.#pass ? this.#resumeMs : Infinity;
      const delayMs = Math.min(this.#schedule.dueMs, resumeMs) - this.#clock.now();
      if (delayMs <= 0) return true;
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(Math.min(delayMs, RECONCILE_MS), resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
    }
    return false;
  }

  /** Every change is reported: polling can wait. */
  #mayRest(): boolean {
    const isReported = this.hasBindEvents && !this.hasForeignChanges;
    return isReported && !this.#services.some(({ isUnsettled }) => isUnsettled);
  }

  async #pollHost(beganMs: number): Promise<void> {
    try {
      const snapshot = await this.#options.observer.snapshot();
      if (!this.#isDisposed) this.#begin(snapshot, true);
    } catch (error) {
      this.#fail(error);
    }
    this.#schedule.finish("host", beganMs, this.#clock.now());
    this.#wake();
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
    for (const service of this.#services) {
      service.forget(goneNetns);
      service.locate();
    }
    return new Pass(groups, {
      snapshot,
      conditions: { nowMs, queues: snapshot.queues, idleMs, goneNetns },
      adopting: isWhole ? this.#services.filter(({ adopts }) => adopts) : [],
      matches: isWhole ? this.#matches(snapshot) : [],
    });
  }

  /** Returns the groups that a service covers and that are not managed yet. */
  #matches(snapshot: Snapshot): OwnedMatch[] {
    const { groups } = this.#options;
    return [...snapshot.groups].flatMap(([name, members]) => {
      const match = groups.has(name) ? null : matchOwner(name, members, this.#byPort);
      return match && !groups.isDetached(match) ? [match] : [];
    });
  }

  async #slice(): Promise<void> {
    const pass = this.#pass;
    if (pass === null) return;
    try {
      using _lock = await this.#options.pinTree.lock(LOCK_TIMEOUT_MS);
      if (this.#pass !== pass) return; // replaced or dropped meanwhile
      this.#work(pass, this.#clock.now() + SLICE_MS);
      this.#resumeMs = this.#clock.now() + PAUSE_MS;
      if (pass.isDone) this.#finish();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @requires the pin tree's lock */
  #work(pass: Pass, endMs: number): void {
    const { pinTree, journal } = this.#options;
    const isEmptied = this.hasForeignChanges && pass.readForeignChanges();
    if (isEmptied && !this.#services.some(({ waits }) => waits)) this.#released();
    pass.work(pinTree, journal, () => this.#clock.now() >= endMs);
    this.#pinChanges = pinTree.changes;
  }

  /** The pass is done: polls again when the first hold is due. */
  #finish(): void {
    this.#pass = null;
    this.#lockedSlices = 0;
    this.#options.journal.settled("reconcile");
    const { holdDueMs } = this.#options.groups;
    if (holdDueMs === null) return;
    this.#schedule.pollHostBy(this.#clock.now() + holdDueMs - this.#clock.boottimeMs());
  }

  #fail(error: unknown): void {
    if (this.#isDisposed) return;
    this.#pass = null;
    if (error instanceof LockedError && ++this.#lockedSlices <= LOCKED_SLICES) {
      this.#schedule.pollHostBy(this.#clock.now() + LOCK_TIMEOUT_MS);
      return;
    }
    this.#options.journal.warn("reconcile", message(error));
  }
}
