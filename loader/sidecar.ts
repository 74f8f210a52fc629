/** The sidecar: finds the groups of its services, keeps them managed, and gives them back. */
import { AdoptedCgroup, type AdoptOptions } from "./adopted.ts";
import { LockedError } from "./errors.ts";
import { requireHost } from "./features.ts";
import { type Filter, type Match, matchGroups, noMatch } from "./filter.ts";
import { byGroup, type Listener } from "./listener.ts";
import { Journal, type Log } from "./log.ts";
import { ManagedGroup } from "./managed.ts";
import { Observer } from "./observe.ts";
import type { Policy } from "./plan.ts";
import type { ReadyCheck } from "./ready.ts";
import type { Spec } from "./spec.ts";
import { findAtStart } from "./start.ts";
import { findBpffs, State } from "./state.ts";
import { type GroupStatus, groupStatus, kernelCounts, type Status } from "./status.ts";
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
}

/** Manages the groups of some services until it is closed. */
export class Sidecar implements Disposable {
  readonly #options: SidecarOptions;
  readonly #journal: Journal;
  readonly #managed = new Map<string, ManagedGroup>();
  /** Groups that a `detach` took from us: not ours again until the sidecar is restarted. */
  readonly #released = new Set<string>();
  readonly #adopted: AdoptedCgroup | null;
  #running: { readonly state: State; readonly observer: Observer } | null = null;
  #watch: Watch | null = null;
  #onReleased: () => void = () => {};

  constructor(options: SidecarOptions, log: Log = () => {}) {
    this.#options = { ...options, wait: options.wait === true || options.adopt !== undefined };
    this.#journal = new Journal(log);
    const { adopt, specs, filter = {} } = options;
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
      const { listeners, matches } = findAtStart(this.#running, this.#options);
      if (matches.length === 0 && !this.#options.wait) this.#refuseNoMatch();
      using _lock = state.lock();
      for (const match of matches) this.#takeOn(state, match);
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
    this.#attempt("reconcile", () => this.reconcile());
    const due = [...this.#managed.values()].flatMap(({ dueMs }) => dueMs ?? []);
    if (due.length > 0) this.#watch?.soon(Math.min(...due));
  }

  /** One observe-plan-apply pass over all groups. */
  reconcile(): void {
    const { state, observer } = this.#use();
    using _lock = state.lock(PATIENCE_MS);
    const listeners = observer.read();
    this.#dropDetached(state);
    const groups = byGroup(listeners);
    for (const [name, managed] of this.#managed) {
      const members = groups.get(name) ?? [];
      this.#attempt(name, () =>
        this.#journal.refreshed(managed, members, managed.refresh(members)),
      );
      if (managed.idleMs > (this.#options.idleMs ?? IDLE_MS)) this.#giveUp(state, name, managed);
    }
    for (const match of this.#match(listeners)) {
      if (this.#managed.has(match.name) || this.#released.has(match.name)) continue;
      this.#attempt(match.name, () => this.#takeOn(state, match));
    }
    this.#attempt("adoption", () => this.#adopted?.look(state, listeners));
  }

  /** Status of the managed groups, from the kernel. */
  status(): Status {
    const { state, observer } = this.#use();
    const listeners = byGroup(observer.read());
    const groups: GroupStatus[] = [];
    const errors: string[] = [];
    for (const [name, { group }] of this.#managed) {
      try {
        groups.push(groupStatus(group, listeners.get(name) ?? [], process.pid));
      } catch (error) {
        errors.push(`${name}: ${message(error)}`);
      }
    }
    const adoptions = this.#adopted?.status(state) ?? [];
    return { groups, adoptions, unmanaged: [], kernel: kernelCounts(groups), errors };
  }

  /** Ends. Detaches and unpins what it manages, or with `keep` leaves all of it in force. */
  close(options: { readonly keep?: boolean } = {}): void {
    if (this.#running === null) return;
    this.#watch?.[Symbol.dispose]();
    this.#watch = null;
    const { state, observer } = this.#running;
    try {
      if (options.keep) {
        const members = byGroup(observer.read());
        for (const [name, managed] of this.#managed) managed.release(members.get(name) ?? []);
        return;
      }
      try {
        this.#giveBackAll(state, observer, (managed) => state.has(managed.group.name));
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

  #match(listeners: readonly Listener[]): Match[] {
    return matchGroups(listeners, this.#options.specs, this.#options.filter ?? {});
  }

  #refuseNoMatch(): never {
    const { specs, filter = {} } = this.#options;
    using observer = new Observer({ udp: true });
    throw noMatch(observer.read(), specs, filter);
  }

  #takeOn(state: State, match: Match): void {
    const { replace = false } = this.#options;
    const arrived = () => this.#look();
    const options = { ...this.#options, replace, arrived };
    const [managed, refreshed] = ManagedGroup.takeOn(state, match, options);
    this.#managed.set(match.name, managed);
    const { isNew, label, group } = managed;
    const event = isNew ? "attached" : "adopted";
    const count = match.members.length;
    this.#journal.say(
      event,
      `${event} ${label}: ${count} listener${count === 1 ? "" : "s"}, program ${group.programId}`,
      {
        group: group.name,
        service: match.service,
        listeners: count,
        program_id: group.programId,
      },
    );
    this.#journal.refreshed(managed, match.members, refreshed);
  }

  /** Nothing has listened for long: unpinned, so that containers which came and went leave nothing. */
  #giveUp(state: State, name: string, managed: ManagedGroup): void {
    managed.giveBack(state, []);
    this.#managed.delete(name);
    managed[Symbol.dispose]();
    this.#journal.say("given_up", `${managed.label}: nothing has listened for long; unpinned`, {
      group: name,
    });
  }

  /** Groups whose pins are gone: another command detached them. */
  #dropDetached(state: State): void {
    for (const [name, managed] of this.#managed) {
      if (state.has(name)) continue;
      const text = `${managed.label} was detached by another command; leaving it alone`;
      this.#journal.say("released", text, { group: name });
      this.#released.add(name);
      this.#managed.delete(name);
      managed[Symbol.dispose]();
      if (this.#managed.size === 0 && !this.#options.wait) this.#onReleased();
    }
  }

  /** Runs a step of one group; its failure is that group's, logged once, tried again next time. */
  #attempt(name: string, step: () => void): void {
    try {
      step();
      this.#journal.settled(name);
    } catch (error) {
      this.#journal.warn(name, message(error));
    }
  }

  /** After a refusal: gives back what this start took, leaves what it found. */
  #undo(): void {
    const { state, observer } = this.#use();
    try {
      if (this.#managed.size > 0) this.#giveBackAll(state, observer, ({ isNew }) => isNew);
    } finally {
      this.#forget();
      state.tidy();
    }
  }

  /** Gives back the groups that are `ours`; one that cannot be does not stop the others. */
  #giveBackAll(state: State, observer: Observer, ours: (managed: ManagedGroup) => boolean): void {
    using _lock = state.lock();
    const groups = byGroup(observer.read());
    const errors: unknown[] = [];
    for (const [name, managed] of this.#managed) {
      if (!ours(managed)) continue;
      try {
        managed.giveBack(state, groups.get(name) ?? []);
        this.#journal.say("detached", `detached from ${managed.label}`, { group: name });
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  #forget(): void {
    for (const managed of this.#managed.values()) managed[Symbol.dispose]();
    this.#managed.clear();
    this.#running?.observer[Symbol.dispose]();
    this.#running = null;
  }
}

function message(error: unknown): string {
  // A lock held for a moment is not news each time with another pid.
  if (error instanceof LockedError) return "another reuseport-migrate is at work; trying again";
  return error instanceof Error ? error.message : String(error);
}
