/** The sidecar: finds the groups of its services, manages them, and gives them back. */
import { applyGroup } from "./apply.ts";
import { attachProgram, detachProgram, refuseForeign } from "./attachment.ts";
import { findCgroup2 } from "./cgroup.ts";
import { BindEvents } from "./events.ts";
import { ConflictError, LockedError, NoMatchError } from "./errors.ts";
import { requireHost } from "./features.ts";
import { explainNoMatch, type Filter, type Match, matchGroups } from "./filter.ts";
import { Group } from "./group.ts";
import { byGroup, endpoint, type Listener } from "./listener.ts";
import { Observer } from "./observe.ts";
import { capacityFor, type Policy } from "./plan.ts";
import type { Spec } from "./spec.ts";
import { findBpffs, Lock, State } from "./state.ts";
import { type GroupStatus, groupStatus, kernelCounts, type Status } from "./status.ts";
import { boottimeMs } from "./sys/libc.ts";

/** How often everything is looked at, whatever was or was not told. */
export const RECONCILE_MS = 1_000;
/** After a bind the listener appears moments later: when to look again, ms after the event. */
const AFTER_BIND_MS = [0, 2, 10, 50, 200] as const;

export interface SidecarOptions extends Policy {
  readonly specs: readonly Spec[];
  readonly filter?: Filter;
  readonly bpffs?: string;
  /** Start although nothing listens yet. */
  readonly wait?: boolean;
  /** Override a foreign program. */
  readonly replace?: boolean;
}

/** Something worth a line in the log. `fields` are JSON-ready. */
export interface SidecarEvent {
  readonly level: "info" | "warn" | "error";
  readonly event: string;
  readonly text: string;
  readonly fields: Readonly<Record<string, string | number | null>>;
}

interface Managed {
  readonly group: Group;
  readonly lock: Lock;
  readonly isNew: boolean;
  members: readonly Listener[];
  sinceMs: number;
}

/** Manages the groups of some services until it is closed. All methods are synchronous. */
export class Sidecar implements Disposable {
  readonly #options: SidecarOptions;
  readonly #log: (event: SidecarEvent) => void;
  readonly #managed = new Map<string, Managed>();
  /** Groups that a `detach` took from us: not ours again until the sidecar is restarted. */
  readonly #released = new Set<string>();
  /** Last warning by group, so that a lasting condition is logged once. */
  readonly #warned = new Map<string, string>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #onReleased: () => void = () => {};
  #state!: State;
  #observer: Observer | null = null;
  #events: BindEvents | null = null;

  constructor(options: SidecarOptions, log: (event: SidecarEvent) => void = () => {}) {
    this.#options = options;
    this.#log = log;
  }

  /**
   * Attaches to every group that matches, then keeps watching. All or nothing: when
   * one group refuses, those attached before are given back.
   * @throws NoMatchError, ForeignProgramError, AlreadyManagedError, LockedError,
   *   AbiMismatchError, PermissionError, NotSupportedError
   */
  start(): void {
    requireHost();
    this.#state = new State(findBpffs(this.#options.bpffs));
    this.#observer = new Observer();
    try {
      const listeners = this.#observer.read();
      const matches = this.#match(listeners);
      if (matches.length === 0 && !this.#options.wait) this.#refuseNoMatch();
      const locked = this.#state.lock();
      try {
        for (const match of matches) this.#manage(match);
      } finally {
        locked[Symbol.dispose]();
      }
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
    const timer = setInterval(() => this.#safely(), RECONCILE_MS);
    this.#timers.add(timer);
    const cgroup = findCgroup2();
    const ports = new Set(this.#options.specs.map(({ port }) => port));
    try {
      if (cgroup === null) throw new Error("no cgroup v2 is mounted");
      this.#events = new BindEvents(cgroup, ports, () => this.#afterBind());
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#say("warn", "no_bind_events", `no bind events (${why}): new listeners become targets within ${RECONCILE_MS} ms`, {});
    }
    this.#safely(); // what happened between start() and now
  }

  /** One observe-plan-apply pass over all groups. */
  reconcile(): void {
    if (this.#observer === null) throw new Error("Sidecar is not running");
    using _lock = this.#state.lock();
    const listeners = this.#observer.read();
    this.#dropDetached();
    const groups = byGroup(listeners);
    for (const [name, managed] of this.#managed) {
      const members = groups.get(name) ?? [];
      this.#attempt(name, () => this.#refresh(managed, members));
    }
    for (const match of this.#match(listeners)) {
      if (this.#managed.has(match.name) || this.#released.has(match.name)) continue;
      this.#attempt(match.name, () => this.#manage(match));
    }
  }

  /** Status of the managed groups, from the kernel. */
  status(): Status {
    if (this.#observer === null) throw new Error("Sidecar is not running");
    const listeners = byGroup(this.#observer.read());
    const groups: GroupStatus[] = [];
    const errors: string[] = [];
    for (const [name, { group }] of this.#managed) {
      try {
        groups.push(groupStatus(group, listeners.get(name) ?? [], process.pid));
      } catch (error) {
        errors.push(`${name}: ${error instanceof Error ? error.message : error}`);
      }
    }
    return { groups, unmanaged: [], kernel: kernelCounts(groups), errors };
  }

  /** Ends. Detaches and unpins what it manages, or with `keep` leaves all of it in force. */
  close(options: { readonly keep?: boolean } = {}): void {
    if (this.#observer === null) return;
    this.#stopWatching();
    try {
      if (!options.keep) {
        using _lock = this.#state.lock();
        const groups = byGroup(this.#observer.read());
        for (const [name, { group }] of this.#managed) {
          if (this.#state.has(name)) giveBack(this.#state, group, groups.get(name) ?? []);
          this.#say("info", "detached", `detached from ${endpoint(group.record.key)}`, { group: name });
        }
      }
    } finally {
      this.#forget();
    }
    if (!options.keep) this.#state.tidy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #match(listeners: readonly Listener[]): Match[] {
    return matchGroups(listeners, this.#options.specs, this.#options.filter ?? {});
  }

  #refuseNoMatch(): never {
    const { specs, filter = {} } = this.#options;
    using observer = new Observer({ udp: true });
    const reasons = explainNoMatch(observer.read(), specs, filter);
    const names = specs.map(({ text }) => text).join(", ");
    const found =
      reasons.length === 0 ? "nothing listens on that port" : `what is there: ${reasons.join("; ")}`;
    throw new NoMatchError(`no listener with SO_REUSEPORT matches ${names}: ${found} (--wait starts before the server)`);
  }

  /** Takes a group on: adopts what is pinned for it, or creates it; attaches. */
  #manage({ name, members, service }: Match): void {
    const [first] = members;
    if (!first) return;
    const { migrate, route, replace } = this.#options;
    const label = endpoint(first.key);
    const adopted = this.#state.has(name);
    if (!adopted && !replace) refuseForeign(members, null);
    const directory = adopted ? this.#state.directory(name) : this.#state.makeUnfinished(name);
    let lock: Lock | null = null;
    let group: Group | null = null;
    let published = adopted;
    try {
      lock = new Lock(directory, `the group of ${label}`);
      const slots = capacityFor(members.length);
      const fresh = { abiVersion: 0, key: first.key, uid: first.uid, migrate, route, slots, attachments: 0, service };
      group = adopted ? Group.open(directory) : Group.create(name, fresh, directory);
      if (!replace) refuseForeign(members, group.programId);
      group.setRecord({ ...group.record, uid: first.uid, migrate, route, service });
      const managed: Managed = { group, lock, isNew: !adopted, members: [], sinceMs: 0 };
      this.#apply(managed, members);
      if (!adopted) Group.publish(directory, name);
      published = true;
      this.#managed.set(name, managed);
      this.#attach(managed, members);
    } catch (error) {
      this.#managed.delete(name);
      group?.[Symbol.dispose]();
      lock?.[Symbol.dispose]();
      if (!adopted && published) this.#state.remove(name);
      if (!published) this.#state.removeUnfinished(name);
      throw error;
    }
    const what = adopted ? "adopted" : "attached";
    this.#say("info", what, `${what} ${label}: ${members.length} listeners, program ${group.programId}`, {
      group: name,
      service,
      listeners: members.length,
      program_id: group.programId,
    });
  }

  /** A managed group, once more: its listeners may have changed, and its kernel group too. */
  #refresh(managed: Managed, members: readonly Listener[]): void {
    this.#apply(managed, members);
    this.#attach(managed, members);
  }

  #apply(managed: Managed, members: readonly Listener[]): void {
    const { group } = managed;
    const nowMs = boottimeMs();
    const { plan, closed } = applyGroup(group, members, managed.sinceMs, nowMs);
    managed.sinceMs = nowMs;
    managed.members = members;
    const label = endpoint(group.record.key);
    const owners = new Map(members.map((m) => [m.cookie, m.owners[0]]));
    for (const { cookie, slot, generation } of plan.added) {
      const owner = owners.get(cookie);
      this.#say("info", "listener_added", `${label}: listener of ${owner?.comm} (pid ${owner?.pid}) is in slot ${slot}, generation ${generation}`, {
        group: group.name,
        slot,
        generation,
        pid: owner?.pid ?? null,
      });
    }
    for (const { slot, generation } of closed) {
      this.#say("info", "listener_closed", `${label}: the listener in slot ${slot}, generation ${generation} closed`, { group: group.name, slot, generation });
    }
    if (plan.waiting.length > 0) {
      this.#warn(group.name, `${label}: ${plan.waiting.length} listeners have no slot (there are ${group.record.slots}) and are left to the kernel's hash: detach and attach again to make room`);
    }
  }

  /** Attaches where the kernel's group has no program: at first, and when it was re-created. */
  #attach({ group }: Managed, members: readonly Listener[]): void {
    if (members.length === 0) return;
    if (members.some(({ programId }) => programId === group.programId)) return;
    if (!this.#options.replace) refuseForeign(members, group.programId);
    if (!attachProgram(members, group.programFd)) return; // every owner has gone: so has the group
    const attachments = group.record.attachments + 1;
    group.setRecord({ ...group.record, attachments });
    if (attachments > 1) {
      const text = `${endpoint(group.record.key)}: the group was re-created; attached again`;
      this.#say("info", "reattached", text, { group: group.name, attachments });
    }
  }

  #dropDetached(): void {
    for (const [name, { group, lock }] of this.#managed) {
      if (this.#state.has(name)) continue;
      this.#say("info", "released", `${endpoint(group.record.key)} was detached by another command; leaving it alone`, { group: name });
      this.#released.add(name);
      this.#managed.delete(name);
      group[Symbol.dispose]();
      lock[Symbol.dispose]();
    }
    if (this.#managed.size === 0 && this.#released.size > 0) this.#onReleased();
  }

  /** Runs a step of one group; its failure is that group's, logged once, tried again next time. */
  #attempt(name: string, step: () => void): void {
    try {
      step();
      this.#warned.delete(name);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.#warn(name, text);
    }
  }

  #warn(group: string, text: string): void {
    if (this.#warned.get(group) === text) return;
    this.#warned.set(group, text);
    this.#say("warn", "warning", text, { group });
  }

  #safely(): void {
    try {
      this.reconcile();
      this.#warned.delete("");
    } catch (error) {
      // Another command is at work, or the kernel refused for a moment: the next pass repairs.
      this.#warn("", error instanceof LockedError ? "state is locked" : String(error));
    }
  }

  #afterBind(): void {
    for (const delay of AFTER_BIND_MS) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        this.#safely();
      }, delay);
      this.#timers.add(timer);
    }
  }

  #stopWatching(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#events?.[Symbol.dispose]();
    this.#events = null;
  }

  /** After a refusal: gives back what this start took, leaves what it found. */
  #undo(): void {
    for (const [, { group, isNew, members }] of this.#managed) {
      if (isNew) giveBack(this.#state, group, members);
    }
    this.#forget();
    this.#state.tidy();
  }

  #forget(): void {
    for (const { group, lock } of this.#managed.values()) {
      group[Symbol.dispose]();
      lock[Symbol.dispose]();
    }
    this.#managed.clear();
    this.#observer?.[Symbol.dispose]();
    this.#observer = null;
  }

  #say(level: SidecarEvent["level"], event: string, text: string, fields: SidecarEvent["fields"]): void {
    this.#log({ level, event, text, fields });
  }
}

/** Detaches a group from the kernel, then removes its pins: the order that is safe if it is cut short. */
export function giveBack(state: State, group: Group, members: readonly Listener[]): void {
  const attached = members.some(({ programId }) => programId === group.programId);
  if (attached && !detachProgram(members)) {
    throw new ConflictError(
      `${endpoint(group.record.key)}: no listener could be borrowed to detach from; nothing was removed, run detach again`,
    );
  }
  state.remove(group.name);
}
