/** The sidecar: finds the groups of its services, keeps them managed, and gives them back. */
import { AdoptedCgroup, type AdoptOptions } from "./adopted.ts";
import { requireHost } from "./features.ts";
import { type Filter, matchGroups, noMatch } from "./filter.ts";
import { byGroup } from "./listener.ts";
import { Journal, type Log, message } from "./log.ts";
import { ManagedGroups } from "./managed_groups.ts";
import { Observer } from "./observe.ts";
import type { Policy } from "./plan.ts";
import type { ReadyCheck } from "./ready.ts";
import type { Spec } from "./spec.ts";
import { findAtStart } from "./start.ts";
import { findBpffs, State } from "./state.ts";
import { kernelCounts, type Status } from "./status.ts";
import { type StoreOptions, StoreServer } from "./store/server.ts";
import { RECONCILE_MS, Watch } from "./watch.ts";

/** How long a pass waits for a command that changes state; then the next pass does it. */
const PATIENCE_MS = 20;

/** A group without a listener for this long is given up: its namespace may be gone for good. */
export const IDLE_MS = 3_600_000;

export interface SidecarOptions extends Policy {
  readonly specs: readonly Spec[];
  readonly filter?: Filter;
  readonly bpffs?: string;
  /** Start although nothing listens yet. */
  readonly wait?: boolean;
  /** Override a foreign program. */
  readonly replace?: boolean;
  /** Make the binds of a cgroup set SO_REUSEPORT; also starts although nothing listens yet. */
  readonly adopt?: AdoptOptions;
  /** As {@link IDLE_MS}, ms. */
  readonly idleMs?: number;
  /** A hold ends only when a new listener passes this. */
  readonly readyCheck?: ReadyCheck;
  /** Run a store as well, from start to close. */
  readonly store?: StoreOptions;
}

/** Manages the groups of some services until it is closed. */
export class Sidecar implements Disposable {
  readonly #options: SidecarOptions;
  readonly #log: Log;
  readonly #journal: Journal;
  readonly #groups: ManagedGroups;
  readonly #adopted: AdoptedCgroup | null;
  #running: { readonly state: State; readonly observer: Observer } | null = null;
  #watch: Watch | null = null;
  #store: StoreServer | null = null;
  #onReleased: () => void = () => {};

  constructor(options: SidecarOptions, log: Log = () => {}) {
    this.#options = { ...options, wait: options.wait === true || options.adopt !== undefined };
    this.#log = log;
    this.#journal = new Journal(log);
    const { adopt, specs, filter = {}, replace = false } = options;
    const arrived = () => this.#look();
    this.#groups = new ManagedGroups({ ...options, replace, arrived }, this.#journal);
    this.#adopted = adopt ? new AdoptedCgroup(adopt, specs, filter, this.#journal) : null;
  }

  /**
   * Attaches to every group that matches. All or nothing: when one group refuses,
   * those attached before it are given back.
   * @throws NoMatchError, ForeignProgramError, AlreadyManagedError, StandbyError, LockedError,
   *   AbiMismatchError, PermissionError, NotSupportedError
   */
  start(): void {
    requireHost();
    const state = new State(findBpffs(this.#options.bpffs));
    this.#running = { state, observer: new Observer() };
    try {
      const { store } = this.#options;
      if (store) this.#store = new StoreServer(store, this.#log);
      const { listeners, matches } = findAtStart(this.#running, this.#options);
      if (matches.length === 0 && !this.#options.wait) this.#refuseNoMatch();
      using _lock = state.lock();
      for (const match of matches) this.#groups.takeOn(state, match);
      this.#adopted?.start(state, listeners);
    } catch (error) {
      this.#undo();
      throw error;
    }
  }

  /**
   * Looks again on bind events and once every RECONCILE_MS, until closed.
   * @param released called when `detach` has taken the last group from us
   */
  watch(released: () => void = () => {}): void {
    this.#onReleased = released;
    this.#watch = new Watch(() => this.#look());
    try {
      this.#watch.listen(new Set(this.#options.specs.map(({ port }) => port)));
    } catch (error) {
      const late = `a new listener becomes a target within ${RECONCILE_MS} ms`;
      this.#journal.warn("events", `no bind events (${message(error)}): ${late}`);
    }
    this.#look(); // what happened since start()
  }

  /** A pass, and another one soon while a group holds. */
  #look(): void {
    this.#journal.attempt("reconcile", () => this.reconcile());
    const { dueMs } = this.#groups;
    if (dueMs !== null) this.#watch?.soon(dueMs);
  }

  /** One observe-plan-apply pass over all groups. */
  reconcile(): void {
    const { state, observer } = this.#use();
    const { specs, filter = {} } = this.#options;
    using _lock = state.lock(PATIENCE_MS);
    const listeners = observer.read();
    const dropped = this.#groups.dropDetached(state);
    if (dropped && this.#groups.size === 0 && !this.#options.wait) this.#onReleased();
    this.#groups.refresh(state, byGroup(listeners), this.#options.idleMs ?? IDLE_MS);
    this.#groups.takeOnNew(state, matchGroups(listeners, specs, filter));
    this.#journal.attempt("adoption", () => this.#adopted?.look(state, listeners));
  }

  /** Its store, while it runs one. */
  get store(): StoreServer | null {
    return this.#store;
  }

  /** Status of the managed groups, from the kernel. */
  status(): Status {
    const { state, observer } = this.#use();
    const { groups, errors } = this.#groups.status(byGroup(observer.read()));
    const adoptions = this.#adopted?.status(state) ?? [];
    return { groups, adoptions, unmanaged: [], kernel: kernelCounts(groups), errors };
  }

  /** Ends. Detaches and unpins what it manages, or with `keep` leaves all of it in force. */
  close(options: { readonly keep?: boolean } = {}): void {
    if (this.#running === null) return;
    this.#watch?.[Symbol.dispose]();
    this.#watch = null;
    // First: what it holds migrates while the program is attached.
    this.#store?.[Symbol.dispose]();
    this.#store = null;
    const { state, observer } = this.#running;
    try {
      using _lock = state.lock();
      const members = byGroup(observer.read());
      if (options.keep) {
        this.#groups.leave(members);
        return;
      }
      try {
        this.#groups.giveBack(state, members, ({ group }) => state.has(group.name));
      } finally {
        this.#adopted?.giveBack(state);
      }
    } finally {
      this.#forget();
      state.tidy();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #use() {
    if (this.#running === null) throw new Error("Sidecar is not running");
    return this.#running;
  }

  #refuseNoMatch(): never {
    const { specs, filter = {} } = this.#options;
    using observer = new Observer({ udp: true });
    throw noMatch(observer.read(), specs, filter);
  }

  /** After a refusal: gives back what this start took, leaves what it found. */
  #undo(): void {
    const { state, observer } = this.#use();
    try {
      if (this.#groups.size === 0) return;
      using _lock = state.lock();
      this.#groups.giveBack(state, byGroup(observer.read()), ({ isNew }) => isNew);
    } finally {
      this.#forget();
      state.tidy();
    }
  }

  #forget(): void {
    this.#store?.[Symbol.dispose]();
    this.#store = null;
    this.#groups[Symbol.dispose]();
    this.#running?.observer[Symbol.dispose]();
    this.#running = null;
  }
}
