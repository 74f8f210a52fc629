/**
 * Passes of a sidecar: observe, and look after what is due. A pass is made in slices, between which
 * everything else of the process has its turn, and the state's lock is free.
 */

import type { PinTree } from "../bpf/pin_tree.ts";
import { type Journal, message } from "../log.ts";
import { NetnsLiveness } from "../net/netns_liveness.ts";
import type { Looked } from "../observe/look_scheduler.ts";
import type { Observer } from "../observe/observer.ts";
import type { Snapshot } from "../observe/snapshot.ts";
import { boottimeMs } from "../sys/libc.ts";
import { type Assigned, assign, ServicesByPort } from "./assign.ts";
import type { When } from "./belonging.ts";
import type { ManagedGroups } from "./managed_groups.ts";
import { Patience } from "./patience.ts";
import type { Service } from "./service.ts";

/** How long a pass waits for a command that changes state; then the next pass does it. */
const PATIENCE_MS = 20;

/** So long a slice takes, ms, and what it has begun by then; and the pause after it, in which a command may take the lock. */
const SLICE_MS = 10;
const PAUSE_MS = 1;

/** What passes work with. */
export interface ReconcilerContext {
  readonly pinTree: PinTree;
  readonly observer: Observer;
  readonly groups: ManagedGroups;
  readonly journal: Journal;
  readonly idleMs: number;
  services(): readonly Service[];
  /** Asks for a look in so many ms. */
  soon(afterMs: number): void;
  /** Something changed. */
  stir(): void;
  /** `detach` has taken the last group. */
  released(): void;
}

/** What is left of a pass. */
interface Pass {
  readonly observed: Snapshot;
  readonly when: When;
  due: string[];
  adopting: Service[];
  fresh: Assigned[];
}

export class Reconciler implements Disposable {
  readonly #place: ReconcilerContext;
  readonly #live = new NetnsLiveness();
  readonly #patience = new Patience();
  /** Of the state, when we last looked at it or changed it ourselves. */
  #changes: bigint | null = null;
  #observed: Snapshot | null = null;
  #next: NodeJS.Timeout | undefined;
  /** What is left of a pass are groups to take on, too. */
  #isTakingOn = false;
  #reading = false;
  #lookAgain = false;
  #closed = false;
  #services: readonly Service[] = [];
  #byPort = new ServicesByPort([]);

  constructor(place: ReconcilerContext) {
    this.#place = place;
  }

  /**
   * Begins a pass; what was left of the one before is part of it. Does not throw.
   * @param at who may have changed
   */
  look(at: Looked = "all"): void {
    const { observer, journal } = this.#place;
    if (this.#reading) this.#lookAgain = true;
    else if (at !== "all" && !this.#isTakingOn && this.#lookAt(at)) return;
    else if (observer.isSlow) void this.#lookBeside();
    else journal.attempt("reconcile", () => this.#begin(observer.snapshot(), true));
  }

  /** False: only a look at all tells. */
  #lookAt(pids: ReadonlySet<number>): boolean {
    const { observer, journal } = this.#place;
    let seen = false;
    // Who holds wants to know who left, too.
    if (this.#place.services().some(({ manage }) => manage.hold)) return false;
    journal.attempt("reconcile", () => {
      const observed = observer.snapshotProcesses(pids);
      // Who takes on a group wants to see all of it.
      if (!observed || this.#fresh(observed, this.#place.services()).length > 0) return;
      seen = true;
      this.#begin(observed, false);
    });
    return seen;
  }

  /** A look may wait: no command has changed anything, and all else that may change is told of. */
  get isQuiet(): boolean {
    return !this.isBehind && !this.#place.services().some(({ isUnsettled }) => isUnsettled);
  }

  /** Others have changed what is pinned, and no pass has looked since. */
  get isBehind(): boolean {
    return this.#place.pinTree.changes !== this.#changes;
  }

  /** A whole pass at once, over all groups, whatever is due. */
  whole(): void {
    const { observer, groups } = this.#place;
    groups.invalidate();
    const pass = this.#prepare(observer.snapshot(), true);
    this.drop();
    this.#slice(pass, Number.POSITIVE_INFINITY);
  }

  /** Forgets what is left of a pass: services or groups are others now. */
  drop(): void {
    clearTimeout(this.#next);
    this.#isTakingOn = false;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.drop();
  }

  async #lookBeside(): Promise<void> {
    const { observer, journal } = this.#place;
    this.#reading = true;
    try {
      const observed = await observer.snapshotBeside();
      if (!this.#closed) journal.attempt("reconcile", () => this.#begin(observed, true));
    } catch (error) {
      if (!this.#closed) journal.warn("reconcile", message(error));
    }
    this.#reading = false;
    if (this.#lookAgain && !this.#closed) this.#place.soon(0);
    this.#lookAgain = false;
  }

  #begin(observed: Snapshot, whole: boolean): void {
    const pass = this.#prepare(observed, whole);
    if (observed !== this.#observed) this.#place.stir();
    this.#observed = observed;
    const idle = pass.due.length + pass.adopting.length + pass.fresh.length === 0;
    this.drop();
    if (idle && !this.isBehind) this.#finish();
    else this.#goOn(pass);
  }

  #prepare(observed: Snapshot, whole: boolean): Pass {
    const { groups, idleMs } = this.#place;
    const services = this.#place.services();
    const nowMs = boottimeMs();
    const gone = this.#live.findEnded(groups.emptyNetns(observed.groups), nowMs);
    for (const service of services) {
      service.forget(gone);
      service.locate();
    }
    const when = { nowMs, idleMs, gone };
    const due = groups.due(observed.groups, when);
    if (!whole) return { observed, when, due, adopting: [], fresh: [] };
    const adopting = services.filter(({ adopts }) => adopts);
    return { observed, when, due, adopting, fresh: this.#fresh(observed, services) };
  }

  /** Groups to take on. */
  #fresh(observed: Snapshot, services: readonly Service[]): Assigned[] {
    const { groups } = this.#place;
    const fresh: Assigned[] = [];
    if (services !== this.#services) this.#byPort = new ServicesByPort(services);
    this.#services = services;
    for (const [name, members] of observed.groups) {
      if (groups.has(name)) continue;
      const match = assign(name, members, this.#byPort);
      if (match && !groups.isDetached(match)) fresh.push(match);
    }
    return fresh;
  }

  /** A slice now, and the others in turn. */
  #goOn(pass: Pass): void {
    const slice = () => {
      if (!this.#slice(pass, SLICE_MS)) {
        this.#finish();
        return;
      }
      this.#next = setTimeout(
        () => this.#place.journal.attempt("reconcile", () => this.#goOn(pass)),
        PAUSE_MS,
      );
    };
    this.#patience.pass(slice, () => this.#place.soon(PATIENCE_MS));
  }

  /** Does what it can in that time, and something in any case; false: the pass is done. */
  #slice(pass: Pass, forMs: number): boolean {
    const { pinTree, groups, journal } = this.#place;
    const { observed, when } = pass;
    using _lock = pinTree.lock(PATIENCE_MS);
    const untilMs = performance.now() + forMs;
    const isOver = () => performance.now() >= untilMs;
    this.#lookBehind(pass);
    while (pass.due.length > 0 && !isOver()) {
      const name = pass.due.shift() ?? "";
      groups.refresh(pinTree, name, observed.groups.get(name) ?? [], when);
    }
    for (const service of pass.adopting) service.lookAfterAdoption(pinTree, observed.listeners);
    pass.adopting = [];
    while (pass.fresh.length > 0 && !isOver()) {
      const match = pass.fresh.shift();
      if (match) journal.attempt(match.name, () => groups.takeOn(pinTree, match));
    }
    this.#changes = pinTree.changes;
    this.#isTakingOn = pass.fresh.length > 0;
    return pass.due.length + pass.fresh.length > 0;
  }

  /** Something changed that we did not do: groups may be gone, and any may have another policy. */
  #lookBehind(pass: Pass): void {
    const { pinTree, groups } = this.#place;
    if (!this.isBehind) return;
    const dropped = groups.dropDetached(pinTree);
    const waits = this.#place.services().some((service) => service.waits);
    if (dropped && groups.size === 0 && !waits) this.#place.released();
    groups.invalidate();
    pass.due = groups.due(pass.observed.groups, pass.when);
    pass.fresh = pass.fresh.filter((match) => !groups.isDetached(match));
  }

  /** Another pass soon while a group holds. */
  #finish(): void {
    const due = this.#place.groups.holdDueMs;
    if (due !== null) this.#place.soon(Math.max(0, due - boottimeMs()));
  }
}
