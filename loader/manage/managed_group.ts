/** A group under a sidecar's management: taken on, refreshed, given back. */

import { Lock, type PinTree } from "../bpf/pin_tree.ts";
import type { GroupMatch } from "../core/listener.ts";
import { endpoint, isSelectable, type Listener } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import { ForeignProgramError } from "../errors.ts";
import { Group } from "../group/group.ts";
import { newRecord, recorded } from "../group/group_record.ts";
import type { Snapshot } from "../observe/snapshot.ts";
import { allOrNothing } from "../rollback.ts";
import { boottimeMs } from "../sys/libc.ts";
import { applyGroup } from "./apply.ts";
import { type Attached, attachGroup, detachProgram, refuseForeign } from "./attach.ts";
import { detachGroup } from "./detach_group.ts";
import { GroupHold } from "./group_hold.ts";
import type { ManageOptions, Refreshed } from "./manage_options.ts";
import { refuseHidden, splitStandby } from "./members.ts";
import { differingClasses } from "./option_differences.ts";
import { OptionSchedule } from "./option_schedule.ts";
import { nextCheckMs, RefreshSchedule } from "./refresh_schedule.ts";
import { Waker } from "./waker.ts";

/** Owns the group's pins for as long as it lives: no other sidecar can. */
export class ManagedGroup implements Disposable {
  readonly group: Group;
  /** It was not pinned before. */
  readonly isNew: boolean;
  readonly #lock: Lock;
  #options: ManageOptions;
  readonly #readings = new OptionSchedule();
  /** Pairs of settings classes that were spoken of. */
  readonly #reportedDifferences = new Set<string>();
  readonly #hold: GroupHold;
  readonly #attention = new RefreshSchedule();
  #waker: Waker | null = null;
  #watched = false;
  /** Since when nothing has listened, by what the last pass saw; null: something does. */
  #emptySinceMs: number | null = boottimeMs();
  /** Cookie of its standby after the last pass. */
  #standby = 0n;
  /** When the hold under way wants to be looked at; null: there is none. */
  #holdDueMs: number | null = null;

  private constructor(group: Group, lock: Lock, isNew: boolean, options: ManageOptions) {
    this.group = group;
    this.#lock = lock;
    this.isNew = isNew;
    this.#options = options;
    this.#hold = new GroupHold(group, options);
  }

  /** In force. */
  get options(): ManageOptions {
    return this.#options;
  }

  /** `0.0.0.0:443` */
  get label(): string {
    return endpoint(this.group.record.key);
  }

  /**
   * Adopts what is pinned for a group, or loads, fills and pins it; then attaches.
   * When it throws, it has changed nothing. Wants the state's lock.
   * @throws ForeignProgramError, AlreadyManagedError, StandbyError, LockedError, AbiMismatchError
   */
  static takeOn(
    pinTree: PinTree,
    match: GroupMatch,
    options: ManageOptions,
  ): [ManagedGroup, Refreshed] {
    const { name, members } = match;
    if (options.hold) refuseHidden(members);
    if (pinTree.has(name)) return ManagedGroup.#takeOver(pinTree, match, options);
    if (!options.replace) refuseForeign(members, null);
    return allOrNothing((undo) => {
      const directory = pinTree.makeUnfinished(name);
      undo(() => pinTree.removeUnfinished(name));
      const lock = new Lock(directory, name);
      undo(() => lock[Symbol.dispose]());
      const group = Group.create(name, newRecord(match, options), directory);
      undo(() => group[Symbol.dispose]());
      const managed = new ManagedGroup(group, lock, true, options);
      undo(() => managed.#hold[Symbol.dispose]());
      const plan = managed.#apply(members, boottimeMs());
      Group.publish(directory, name);
      undo(() => pinTree.remove(name));
      undo(() => group.record.attachments > 0 && detachProgram(members));
      return [managed, { ...managed.refresh(members), plan }];
    });
  }

  static #takeOver(
    pinTree: PinTree,
    match: GroupMatch,
    options: ManageOptions,
  ): [ManagedGroup, Refreshed] {
    const { name, members, service } = match;
    const { replace } = options;
    return allOrNothing((undo) => {
      const directory = pinTree.directory(name);
      const lock = new Lock(directory, `the group ${name}`);
      undo(() => lock[Symbol.dispose]());
      const group = Group.open(directory);
      undo(() => group[Symbol.dispose]());
      if (!replace) refuseForeign(members, group.programId);
      const before = group.record;
      const { others } = splitStandby(group, members);
      undo(() => applyGroup(group, others, new OptionSchedule(), false, boottimeMs()));
      undo(() => group.setRecord(before));
      group.setRecord({ ...group.record, ...recorded(options), service });
      group.pruneSources();
      const managed = new ManagedGroup(group, lock, false, options);
      undo(() => managed.#hold[Symbol.dispose]());
      return [managed, managed.refresh(members)];
    });
  }

  /** Whether a {@link refresh} could find anything to do. */
  isDue(members: readonly Listener[], nowMs: number): boolean {
    return this.#attention.isDue(members, nowMs);
  }

  /** Its members are other than at the last {@link refresh}. */
  isOther(members: readonly Listener[]): boolean {
    return this.#attention.isOther(members);
  }

  /** What is pinned may have been changed by a command. */
  invalidate(): void {
    this.#attention.invalidate();
  }

  /** One observe-plan-apply step; attaches again where the kernel's group was re-created. */
  refresh(members: readonly Listener[]): Refreshed {
    const nowMs = boottimeMs();
    try {
      const unchecked = this.#attention.needsReread(nowMs);
      if (unchecked) {
        this.group.invalidate();
        this.#readings.invalidate(nowMs);
      }
      const refreshed = this.#refresh(members, nowMs);
      if (unchecked) this.#attention.reread(nextCheckMs(nowMs, Math.random()));
      const dueMs = this.#dueMs(nowMs);
      this.#attention.refreshed(members, this.group.standby.cookie, dueMs);
      return refreshed;
    } finally {
      this.#standby = this.group.standby.cookie;
      const dueMs = this.#hold.dueMs(nowMs);
      this.#holdDueMs = dueMs === null ? null : nowMs + dueMs;
    }
  }

  /** When to look after it next if nothing changes. */
  #dueMs(nowMs: number): number {
    if (this.#hold.isRestless(nowMs)) return nowMs;
    return this.#readings.dueMs;
  }

  #refresh(members: readonly Listener[], nowMs: number): Refreshed {
    this.#hold.unlessHidden(members, nowMs);
    const { standby, others } = splitStandby(this.group, members);
    const able = others.filter(isSelectable);
    const targets = this.#hold.isReady(able, nowMs) ? others : [];
    const plan = this.#apply(targets, nowMs);
    const before = this.group.record.attachments;
    const done = this.#attach(members);
    this.#hold.ask(able);
    const hold = this.#hold.step(standby, targets, plan, nowMs);
    const reattached = done === "attached" && before > 0;
    const optionDifferences = differingClasses(plan.slots, others, this.#reportedDifferences);
    return { plan, reattached, unreachable: done === "unreachable", hold, optionDifferences };
  }

  /**
   * Another policy, perhaps of another service: nothing is detached, and what is held stays held.
   * It is in force after the next {@link refresh}. Wants the state's lock.
   * @throws StandbyError when it is to hold and cannot; nothing is changed then
   */
  change(service: string, options: ManageOptions, members: readonly Listener[]): void {
    this.#attention.invalidate();
    this.group.invalidate();
    this.#hold.change(options, members);
    this.#options = options;
    this.group.setRecord({ ...this.group.record, ...recorded(options), service });
  }

  /**
   * Starts or stops waking destinations, for kernels that do not.
   * @param observe reads the host
   * @param failed called with an error of a later wake-up
   */
  wake(
    on: boolean,
    members: readonly Listener[],
    observe: () => Promise<Snapshot>,
    failed: (e: unknown) => void,
  ): void {
    if (on === (this.#waker !== null)) return;
    const { group } = this;
    const others = (all: readonly Listener[]) => splitStandby(group, all).others;
    // No connection of ours can be steered to an MPTCP listener.
    const selectable = async () =>
      others((await observe()).groups.get(group.name) ?? []).filter(isSelectable);
    this.#waker?.[Symbol.dispose]();
    this.#waker = on ? new Waker(group, selectable, failed) : null;
    group.invalidate();
    this.#apply(others(members), boottimeMs());
  }

  /** When its hold wants to be looked at again, CLOCK_BOOTTIME; null: not before something happens. */
  get holdDueMs(): number | null {
    return this.#holdDueMs;
  }

  /** Conditions that last until somebody acts, one sentence each. */
  get warnings(): string[] {
    return this.#hold.warnings;
  }

  /** Nothing listens, the standby left out. */
  isEmpty(members: readonly Listener[]): boolean {
    return members.every(({ cookie }) => cookie === this.#standby);
  }

  /** How long nothing has listened, ms. */
  idleMs(nowMs: number): number {
    return this.#emptySinceMs === null ? 0 : nowMs - this.#emptySinceMs;
  }

  /**
   * Detaches from the kernel's group, then unpins: in this order it is safe to be cut short.
   * @throws ConflictError when no owner could be borrowed from; nothing is removed then
   */
  detach(pinTree: PinTree, members: readonly Listener[]): void {
    const { others } = splitStandby(this.group, members);
    this.#hold[Symbol.dispose]();
    detachGroup(pinTree, this.group, others);
  }

  /**
   * Lets go of the group; what is attached and pinned stays in force, but the standby: nobody would
   * be there to hand over what it holds.
   */
  leave(members: readonly Listener[]): void {
    this.group.invalidate();
    const { others } = splitStandby(this.group, members);
    this.#waker?.[Symbol.dispose]();
    this.#waker = null;
    this.#hold.set(null);
    this.#apply(others, boottimeMs());
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#waker?.[Symbol.dispose]();
    this.#hold[Symbol.dispose]();
    this.group[Symbol.dispose]();
    this.#lock[Symbol.dispose]();
  }

  #apply(members: readonly Listener[], nowMs: number): Plan {
    const { group } = this;
    const reportMoves = this.#waker !== null;
    const plan = applyGroup(group, members, this.#readings, this.#watched, nowMs, reportMoves);
    this.#readings.keep(members);
    this.#watched = true;
    this.#emptySinceMs = members.length > 0 ? null : (this.#emptySinceMs ?? nowMs);
    return plan;
  }

  #attach(members: readonly Listener[]): Attached {
    try {
      return attachGroup(this.group, members, this.#options.replace);
    } catch (error) {
      if (error instanceof ForeignProgramError) this.#hold.closeStandby();
      throw error;
    }
  }
}
