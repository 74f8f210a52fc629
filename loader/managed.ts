/** A group under a sidecar's management: taken on, refreshed, given back. */
import { applyGroup } from "./apply.ts";
import { attachProgram, detachProgram, refuseForeign } from "./attachment.ts";
import { ConflictError } from "./errors.ts";
import type { Match } from "./filter.ts";
import { Group } from "./group.ts";
import { endpoint, type Listener } from "./listener.ts";
import { capacityFor, type Plan, type Policy } from "./plan.ts";
import { Readings } from "./readings.ts";
import { Lock, type State } from "./state.ts";
import { boottimeMs } from "./sys/libc.ts";
import { allOrNothing } from "./undo.ts";

export interface ManageOptions extends Policy {
  /** Override a foreign program. */
  readonly replace: boolean;
}

/** What a refresh did, for the log. */
export interface Refreshed {
  readonly plan: Plan;
  /** The program was attached again: the kernel's group had been re-created. */
  readonly reattached: boolean;
  /** Nothing is attached: no owner of a listener could be borrowed from. */
  readonly unreachable: boolean;
}

/** Owns the group's pins for as long as it lives: no other sidecar can. */
export class ManagedGroup implements Disposable {
  readonly group: Group;
  /** It was not pinned before. */
  readonly isNew: boolean;
  readonly #lock: Lock;
  readonly #replace: boolean;
  readonly #readings = new Readings();
  #sinceMs = 0;
  #listenedMs = boottimeMs();

  private constructor(group: Group, lock: Lock, isNew: boolean, replace: boolean) {
    this.group = group;
    this.#lock = lock;
    this.isNew = isNew;
    this.#replace = replace;
  }

  /** `0.0.0.0:443` */
  get label(): string {
    return endpoint(this.group.record.key);
  }

  /**
   * Adopts what is pinned for a group, or loads, fills and pins it; then attaches.
   * When it throws, it has changed nothing. Wants the state's lock.
   * @throws ForeignProgramError, AlreadyManagedError, LockedError, AbiMismatchError
   */
  static takeOn(state: State, match: Match, options: ManageOptions): [ManagedGroup, Refreshed] {
    const { name, members } = match;
    if (state.has(name)) return ManagedGroup.#adopt(state, match, options);
    if (!options.replace) refuseForeign(members, null);
    return allOrNothing((undo) => {
      const directory = state.makeUnfinished(name);
      undo(() => state.removeUnfinished(name));
      const lock = new Lock(directory, name);
      undo(() => lock[Symbol.dispose]());
      const group = Group.create(name, newRecord(match, options), directory);
      undo(() => group[Symbol.dispose]());
      const managed = new ManagedGroup(group, lock, true, options.replace);
      const plan = managed.#apply(members);
      Group.publish(directory, name);
      undo(() => state.remove(name));
      const done = managed.#attach(members);
      return [managed, { plan, reattached: false, unreachable: done === "unreachable" }];
    });
  }

  static #adopt(state: State, match: Match, options: ManageOptions): [ManagedGroup, Refreshed] {
    const { name, members, service } = match;
    const { migrate, route, replace } = options;
    return allOrNothing((undo) => {
      const directory = state.directory(name);
      const lock = new Lock(directory, `the group ${name}`);
      undo(() => lock[Symbol.dispose]());
      const group = Group.open(directory);
      undo(() => group[Symbol.dispose]());
      if (!replace) refuseForeign(members, group.programId);
      const before = group.record;
      undo(() => group.setRecord(before));
      group.setRecord({ ...group.record, migrate, route, service });
      const managed = new ManagedGroup(group, lock, false, replace);
      return [managed, managed.refresh(members)];
    });
  }

  /** One observe-plan-apply step; attaches again where the kernel's group was re-created. */
  refresh(members: readonly Listener[]): Refreshed {
    const plan = this.#apply(members);
    const done = this.#attach(members);
    const reattached = done === "attached" && this.group.record.attachments > 1;
    return { plan, reattached, unreachable: done === "unreachable" };
  }

  /** How long nothing has listened, ms. */
  get idleMs(): number {
    return this.#sinceMs - this.#listenedMs;
  }

  /**
   * Detaches from the kernel's group, then unpins: in this order it is safe to be cut short.
   * @throws ConflictError when no owner could be borrowed from; nothing is removed then
   */
  giveBack(state: State, members: readonly Listener[]): void {
    giveBack(state, this.group, members);
  }

  /** Lets go of the group; what is attached and pinned stays in force. */
  [Symbol.dispose](): void {
    this.group[Symbol.dispose]();
    this.#lock[Symbol.dispose]();
  }

  #apply(members: readonly Listener[]): Plan {
    const nowMs = boottimeMs();
    const plan = applyGroup(this.group, members, this.#readings, this.#sinceMs > 0, nowMs);
    this.#readings.keep(members);
    this.#sinceMs = nowMs;
    if (members.length > 0) this.#listenedMs = nowMs;
    return plan;
  }

  #attach(members: readonly Listener[]): "attached" | "unchanged" | "unreachable" {
    const { group } = this;
    if (members.length === 0) return "unchanged";
    if (members.some(({ programId }) => programId === group.programId)) return "unchanged";
    if (!this.#replace) refuseForeign(members, group.programId);
    if (!attachProgram(members, group.programFd)) return "unreachable";
    const attachments = group.record.attachments + 1;
    group.setRecord({ ...group.record, attachments, uid: members[0]?.uid ?? group.record.uid });
    return "attached";
  }
}

function newRecord({ members, service }: Match, { migrate, route }: Policy) {
  const [first] = members;
  if (!first) throw new Error("a group has a listener");
  const { key, uid } = first;
  const slots = capacityFor(members.length);
  return { abiVersion: 0, key, uid, migrate, route, slots, attachments: 0, service };
}

/** As {@link ManagedGroup.giveBack}, for a group that is not ours to manage: `detach`. */
export function giveBack(state: State, group: Group, members: readonly Listener[]): void {
  const attached = members.some(({ programId }) => programId === group.programId);
  if (attached && !detachProgram(members)) {
    throw new ConflictError(
      `${endpoint(group.record.key)}: no listener could be borrowed to detach from; nothing was removed, run detach again`,
    );
  }
  state.remove(group.name);
}
