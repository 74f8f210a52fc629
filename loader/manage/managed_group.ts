/** A group under a sidecar's management, from its first refresh until it is detached or left. */

import { Lock, type PinTree } from "../bpf/pin_tree.ts";
import { endpoint, type GroupMatch, type Listener, type QueuesByCookie } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import { Group } from "../group/group.ts";
import { newRecord, recorded } from "../group/group_record.ts";
import { allOrNothing } from "../rollback.ts";
import { boottimeMs } from "../sys/libc.ts";
import { applyGroup } from "./apply.ts";
import { attachGroup, detachProgram, refuseForeign } from "./attach.ts";
import { detachGroup } from "./detach_group.ts";
import { GroupHold } from "./group_hold.ts";
import type { ManageOptions, Refreshed } from "./manage_options.ts";
import { refuseUnselectable, splitStandby } from "./members.ts";
import { differingClasses } from "./option_differences.ts";
import { OptionSchedule } from "./option_schedule.ts";
import { type LastRefresh, needsReread, nextRereadMs } from "./refresh_schedule.ts";
import { Waker } from "./waker.ts";

/** Owns the group's pins: no other sidecar can manage the group meanwhile. */
export class ManagedGroup implements Disposable {
  readonly group: Group;
  /** It was not pinned before. */
  readonly isNew: boolean;
  readonly #lock: Lock;
  #options: ManageOptions;
  readonly #optionSchedule = new OptionSchedule();
  /** Pairs of settings classes whose difference was reported. */
  readonly #reportedDifferences = new Set<string>();
  readonly #hold: GroupHold;
  #waker: Waker | null = null;
  /** The listeners the plan in force is for; null: this process has not applied one. */
  #targets: readonly Listener[] | null = null;
  #last: LastRefresh | null = null;
  /** Since when there has been no target; null: there is one. */
  #emptySinceMs: number | null = boottimeMs();

  private constructor(group: Group, lock: Lock, isNew: boolean, options: ManageOptions) {
    this.group = group;
    this.#lock = lock;
    this.isNew = isNew;
    this.#options = options;
    this.#hold = new GroupHold(group, options);
  }

  /** The options in force. */
  get options(): ManageOptions {
    return this.#options;
  }

  /** `0.0.0.0:443` */
  get label(): string {
    return endpoint(this.group.record.key);
  }

  /**
   * Takes over the pins of a group, or loads, fills and pins it; then attaches. Changes nothing if
   * it throws.
   * @requires the pin tree's lock
   * @throws ForeignProgramError, AlreadyManagedError, StandbyError, LockedError, AbiMismatchError
   */
  static takeOn(
    pinTree: PinTree,
    match: GroupMatch,
    options: ManageOptions,
  ): [ManagedGroup, Refreshed] {
    const { name, members } = match;
    if (options.hold) refuseUnselectable(members);
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
      pinTree.publish(name);
      undo(() => pinTree.remove(name));
      undo(() => group.record.attachments > 0 && detachProgram(members));
      return [managed, { ...managed.#firstRefresh(members), plan }];
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
      const { listeners } = splitStandby(group, members);
      undo(() => applyGroup(group, listeners));
      undo(() => group.setRecord(before));
      group.setRecord({ ...group.record, ...recorded(options), service });
      group.pruneSources();
      const managed = new ManagedGroup(group, lock, false, options);
      undo(() => managed.#hold[Symbol.dispose]());
      return [managed, managed.#firstRefresh(members)];
    });
  }

  /** Needs no queues: neither the standby nor a candidate has received a connection yet. */
  #firstRefresh(members: readonly Listener[]): Refreshed {
    return this.refresh(members, new Map());
  }

  /** What the last {@link refresh} saw; null: it has failed so far. */
  get last(): LastRefresh | null {
    return this.#last;
  }

  /** Makes the next {@link refresh} read the pins again: a command may have changed them. */
  invalidate(): void {
    if (this.#last) this.#last = { ...this.#last, rereadDueMs: Number.NEGATIVE_INFINITY };
  }

  /**
   * Plans, applies and attaches for these members; attaches again if the kernel re-created the
   * group.
   */
  refresh(members: readonly Listener[], queues: QueuesByCookie): Refreshed {
    const { group } = this;
    const nowMs = boottimeMs();
    const last = needsReread(this.#last, nowMs) ? null : this.#last;
    if (last === null) {
      group.invalidate();
      this.#optionSchedule.invalidate(nowMs);
    }
    const { attachments } = group.record;
    const { attached, ...polled } = this.#hold.poll(members, queues, nowMs, (targets) => ({
      plan: this.#apply(targets, nowMs),
      attached: attachGroup(group, members, this.#options.replace),
    }));
    const { slots } = polled.plan;
    const optionDifferences = differingClasses(slots, members, this.#reportedDifferences);
    const standby = group.standby.cookie;
    // A hold is polled in every pass, not only when it is due: a ready check may have ended.
    const refreshDueMs = this.#hold.dueMs(nowMs) === null ? this.#optionSchedule.dueMs : nowMs;
    const standbyQueues = queues.get(standby);
    const rereadDueMs = last?.rereadDueMs ?? nextRereadMs(nowMs, Math.random());
    this.#last = { members, standby, standbyQueues, refreshDueMs, rereadDueMs };
    const reattached = attached === "attached" && attachments > 0;
    return { ...polled, reattached, unreachable: attached === "unreachable", optionDifferences };
  }

  /**
   * Changes the policy, perhaps to that of another service. The program stays attached and a hold
   * goes on. The policy is in force after the next {@link refresh}.
   * @requires the pin tree's lock
   * @throws StandbyError if the group cannot be held; nothing is changed then
   */
  change(service: string, options: ManageOptions, members: readonly Listener[]): void {
    this.invalidate();
    this.group.invalidate();
    this.#hold.change(options, members);
    this.#options = options;
    this.group.setRecord({ ...this.group.record, ...recorded(options), service });
  }

  /**
   * Begins or ends to wake the destinations of migrations.
   * @param failed called with errors of the waker
   */
  wake(on: boolean, failed: (error: unknown) => void): void {
    if (on === (this.#waker !== null)) return;
    const targets = () => this.#targets ?? [];
    this.#waker?.[Symbol.dispose]();
    this.#waker = on ? new Waker(this.group, targets, failed) : null;
    this.group.invalidate();
    this.#apply(targets(), boottimeMs());
  }

  /**
   * Returns when its hold is due to be polled (ms, CLOCK_BOOTTIME), or null if none is under way.
   */
  holdDueMs(nowMs: number): number | null {
    return this.#hold.dueMs(nowMs);
  }

  /** Returns true if no process listens: there is at most the standby. */
  isEmpty(members: readonly Listener[]): boolean {
    const { cookie: standby } = this.group.standby;
    return members.every(({ cookie }) => cookie === standby);
  }

  /** Returns how long there has been no target, ms. */
  idleMs(nowMs: number): number {
    return this.#emptySinceMs === null ? 0 : nowMs - this.#emptySinceMs;
  }

  /**
   * Detaches from the kernel's group, then unpins: in this order it is safe to be interrupted.
   * @throws ConflictError if no owner lends a listener; nothing is removed then
   */
  detach(pinTree: PinTree, members: readonly Listener[]): void {
    const { listeners } = splitStandby(this.group, members);
    this.#hold[Symbol.dispose]();
    detachGroup(pinTree, this.group, listeners);
  }

  /**
   * Ends the management. Program and pins stay in force; the standby closes, as it needs a sidecar.
   */
  leave(members: readonly Listener[]): void {
    this.group.invalidate();
    const { listeners } = splitStandby(this.group, members);
    this.#waker?.[Symbol.dispose]();
    this.#waker = null;
    this.#hold.end();
    this.#apply(listeners, boottimeMs());
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#waker?.[Symbol.dispose]();
    this.#hold[Symbol.dispose]();
    this.group[Symbol.dispose]();
    this.#lock[Symbol.dispose]();
  }

  #apply(targets: readonly Listener[], nowMs: number): Plan {
    const plan = applyGroup(this.group, targets, {
      schedule: this.#optionSchedule,
      watched: this.#targets !== null,
      reportMoves: this.#waker !== null,
      nowMs,
    });
    this.#targets = targets;
    this.#emptySinceMs = targets.length > 0 ? null : (this.#emptySinceMs ?? nowMs);
    return plan;
  }
}
