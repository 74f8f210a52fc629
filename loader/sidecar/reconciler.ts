/**
 * Polls the host and brings the groups in line with what it finds, in slices: between two of them
 * the event loop turns, and the pin tree's lock is free.
 */
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
import { PollSchedule, type PollScope } from "./poll_schedule.ts";
import type { Service } from "./service.ts";

/** Pause between two slices, ms: a command can take the lock. */
const PAUSE_MS = 1;
/** How long a slice waits for the lock, ms; the host is then polled again, as the snapshot is old. */
const LOCK_TIMEOUT_MS = 20;
/** The lock has to be unavailable this often in a row to be worth a warning. */
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
  /** Every bind() is reported by {@link addBinds}, so that polls of the host can be rare at rest. */
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
  #wake: () => void = () => {};
  #released: () => void = () => {};

  constructor(options: ReconcilerOptions, services: readonly Service[]) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#schedule = new PollSchedule(this.#clock.now());
    this.replaceServices(services);
  }

  /** Replaces the services; the pass under way is dropped. */
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
      await this.#step(scope);
      if (scope) this.#schedule.finish(scope, beganMs, this.#clock.now());
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
    await this.#step("host");
    this.#wake();
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
    const pass = this.#prepare(snapshot, snapshot.groups.keys(), this.#services);
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
      const dueMs = Math.min(this.#schedule.dueMs, this.#pass ? this.#resumeMs : Infinity);
      const delayMs = dueMs - this.#clock.now();
      if (delayMs <= 0) return true;
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(delayMs, resolve);
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
    if (!this.hasBindEvents || this.hasForeignChanges) return false;
    return !this.#services.some(({ isUnsettled }) => isUnsettled);
  }

  /** Makes a poll, if one is due, and a slice of the work that is left. */
  async #step(scope: PollScope | null): Promise<void> {
    if (scope === null && this.#pass === null) return;
    try {
      if (scope) await this.#poll(scope);
      if (this.#pass) await this.#slice(this.#pass);
      this.#options.journal.settled("reconcile");
      this.#lockedSlices = 0;
    } catch (error) {
      this.#fail(error);
    }
  }

  async #poll(scope: PollScope): Promise<void> {
    const { observer } = this.#options;
    const isPartial = scope !== "host" && !this.#needsHost();
    const partial = isPartial ? await observer.snapshotProcesses(scope) : null;
    const matches = partial ? this.#matches(partial, partial.groups.keys()) : [];
    // Taking on a group requires all its members.
    const snapshot = partial && matches.length === 0 ? partial : await observer.snapshot();
    if (this.#isDisposed) return;
    const names = partial ? matches.map(({ name }) => name) : snapshot.groups.keys();
    const pass = this.#prepare(snapshot, names, partial ? [] : this.#services);
    if (snapshot !== this.#snapshot) this.#schedule.noteChange(this.#clock.now());
    this.#snapshot = snapshot;
    this.#pass = pass.isDone && !this.hasForeignChanges ? null : pass;
    if (this.#pass === null) this.#scheduleHolds();
  }

  /** A read of single processes does not show departures, which begin holds; nor groups that wait. */
  #needsHost(): boolean {
    return this.#pass?.isTakingOn || this.#services.some(({ manage }) => manage.hold);
  }

  /**
   * @param names of groups that may have to be taken on
   * @param services whose adoptions are checked
   */
  #prepare(snapshot: Snapshot, names: Iterable<string>, services: readonly Service[]): Pass {
    const { groups, idleMs } = this.#options;
    const nowMs = this.#clock.boottimeMs();
    const goneNetns = this.#netns.gone(groups.emptyNetns(snapshot.groups), nowMs);
    for (const service of this.#services) {
      service.forget(goneNetns);
      service.locate();
    }
    return new Pass(groups, {
      snapshot,
      conditions: { nowMs, queues: snapshot.queues, idleMs, goneNetns },
      adopting: services.filter(({ adopts }) => adopts),
      matches: this.#matches(snapshot, names),
    });
  }

  /** Returns the groups among `names` that a service covers and that are not managed yet. */
  #matches(snapshot: Snapshot, names: Iterable<string>): OwnedMatch[] {
    const { groups } = this.#options;
    return [...names].flatMap((name) => {
      if (groups.has(name)) return [];
      const match = matchOwner(name, snapshot.groups.get(name) ?? [], this.#byPort);
      return match && !groups.isDetached(match) ? [match] : [];
    });
  }

  async #slice(pass: Pass): Promise<void> {
    using _lock = await this.#options.pinTree.lock(LOCK_TIMEOUT_MS);
    if (this.#pass !== pass) return; // dropped meanwhile
    this.#work(pass, this.#clock.now() + SLICE_MS);
    this.#resumeMs = this.#clock.now() + PAUSE_MS;
    if (!pass.isDone) return;
    this.#pass = null;
    this.#scheduleHolds();
  }

  /** @requires the pin tree's lock */
  #work(pass: Pass, endMs: number): void {
    const { pinTree, journal } = this.#options;
    if (this.hasForeignChanges && pass.readForeignChanges()) {
      if (!this.#services.some((service) => service.waits)) this.#released();
    }
    pass.work(pinTree, journal, () => this.#clock.now() >= endMs);
    this.#pinChanges = pinTree.changes;
  }

  /** Polls when the first hold is due. */
  #scheduleHolds(): void {
    const { holdDueMs } = this.#options.groups;
    if (holdDueMs === null) return;
    this.#schedule.pollHostBy(this.#clock.now() + holdDueMs - this.#clock.boottimeMs());
  }

  #fail(error: unknown): void {
    if (this.#isDisposed) return;
    this.#pass = null;
    if (error instanceof LockedError && ++this.#lockedSlices <= LOCKED_SLICES) {
      this.#schedule.pollHostBy(this.#clock.now() + LOCK_TIMEOUT_MS);
    } else {
      this.#options.journal.warn("reconcile", message(error));
    }
  }
}
