/** A group under a sidecar's management, from its first refresh until it is detached or left. */
import type { Lock } from "../bpf/directory_lock.ts";
import type { PinTree } from "../bpf/pin_tree.ts";
import { type Listener, NOTHING_QUEUED, type QueuesByCookie } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import type { Group } from "../group/group.ts";
import { recorded } from "../group/group_record.ts";
import { placed, splitStandby } from "../hold/members.ts";
import { groupOwners } from "../observe/group_owners.ts";
import { placeOf } from "../observe/netns_label.ts";
import { boottimeMs } from "../sys/libc.ts";
import { applyGroup } from "./apply.ts";
import { attachGroup } from "./attach.ts";
import { detachGroup } from "./detach_group.ts";
import { GroupHold } from "./group_hold.ts";
import { GroupNews } from "./group_news.ts";
import { Growth } from "./grow.ts";
import type { ManageOptions, Origin, Refreshed } from "./manage_options.ts";
import { differingClasses } from "./option_differences.ts";
import { OptionSchedule } from "./option_schedule.ts";
import { type LastRefresh, needsReread, nextRereadMs } from "./refresh_schedule.ts";
import { Waker } from "./waker.ts";

/** Owns the group's pins: no other sidecar can manage the group meanwhile. */
export class ManagedGroup implements Disposable {
  readonly group: Group;
  readonly origin: Origin;
  readonly #pinTree: PinTree;
  #lock: Lock;
  #options: ManageOptions;
  readonly #optionSchedule = new OptionSchedule();
  /** Pairs of settings classes whose difference was reported. */
  readonly #reportedDifferences = new Set<string>();
  readonly hold: GroupHold;
  readonly #growth: Growth;
  readonly #news = new GroupNews();
  #waker: Waker | null = null;
  /** The listeners the plan in force is for; null: this process has not applied one. */
  #targets: readonly Listener[] | null = null;
  #last: LastRefresh | null = null;
  /** Since when nothing has listened; null: something does. */
  #emptySinceMs: number | null = boottimeMs();

  /** Owns `group` and `lock`, the lock on the directory of its pins. */
  constructor(
    pinTree: PinTree,
    group: Group,
    lock: Lock,
    { origin, options }: { readonly origin: Origin; readonly options: ManageOptions },
  ) {
    this.#pinTree = pinTree;
    this.group = group;
    this.#lock = lock;
    this.origin = origin;
    this.#options = options;
    this.hold = new GroupHold(group, options);
    this.#growth = new Growth(pinTree, group);
  }

  /** The options in force. */
  get options(): ManageOptions {
    return this.#options;
  }

  /** `0.0.0.0:443`, with the network namespace if that is not our own. */
  get label(): string {
    return placeOf(this.group.record.key, this.#last?.members[0]?.owners ?? []);
  }

  /** Puts a plan in force on a group whose program is not attached yet. */
  prepare(members: readonly Listener[]): Plan {
    return this.#apply(members, boottimeMs());
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
  refresh(
    members: readonly Listener[],
    queues: QueuesByCookie,
    instead: Listener | null = null,
  ): Refreshed {
    const { group } = this;
    const nowMs = boottimeMs();
    const last = needsReread(this.#last, nowMs) ? null : this.#last;
    if (last === null) {
      group.invalidate();
      this.#optionSchedule.invalidate(nowMs);
    }
    const hasGrown = this.#grow(members, nowMs);
    const { attachments } = group.record;
    const { attached, ...polled } = this.hold.poll(members, queues, nowMs, instead, (targets) => ({
      plan: this.#apply(targets, nowMs),
      attached: attachGroup(group, members, this.#options.replace),
    }));
    const { slots } = polled.plan;
    const optionDifferences = differingClasses(slots, members, this.#reportedDifferences);
    const standby = group.standby.cookie;
    // A hold is polled in every pass, not only when it is due: a ready check may have ended.
    const news = this.#news.take(group, polled.plan, members, nowMs);
    const dues = [this.#optionSchedule.dueMs, this.#growth.dueMs, this.#news.dueMs];
    const othersDueMs = Math.min(...dues);
    const refreshDueMs = this.hold.dueMs(nowMs) === null ? othersDueMs : nowMs;
    const standbyQueues = queues.get(standby);
    this.#emptySinceMs = this.isEmpty(members) ? (this.#emptySinceMs ?? nowMs) : null;
    const rereadDueMs = last?.rereadDueMs ?? nextRereadMs(nowMs, Math.random());
    this.#last = { members, standby, standbyQueues, refreshDueMs, rereadDueMs };
    groupOwners(members); // read once they are targets, so that no scrape does
    const reattached = attached === "attached" && attachments > 0;
    const unreachable = attached === "unreachable";
    const growthFailure = this.#growth.failure;
    const result = { ...polled, hasGrown, growthFailure, reattached, unreachable };
    return { ...result, optionDifferences, news };
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
    this.hold.change(options, members);
    this.#options = options;
    this.group.setRecord({ ...this.group.record, ...recorded(options), service });
    this.#news.expect(this.group.record);
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

  /** Its policy has a standby. */
  get holds(): boolean {
    return Boolean(this.#options.hold);
  }

  /** Returns true if no process listens: there is at most the standby. */
  isEmpty(members: readonly Listener[]): boolean {
    return splitStandby(this.group, members).listeners.length === 0;
  }

  /** Returns how long nothing has listened, ms. */
  idleMs(nowMs: number): number {
    return this.#emptySinceMs === null ? 0 : nowMs - this.#emptySinceMs;
  }

  /** A connection has migrated in it, or a hold has begun. */
  get hasMigrated(): boolean {
    const { out, into } = this.group.counts().total();
    return out + into + this.group.holdCounts.started > 0;
  }

  /**
   * Detaches from the kernel's group, then unpins: in this order it is safe to be interrupted.
   * @throws ConflictError if no owner lends a listener; nothing is removed then
   */
  detach(members: readonly Listener[]): void {
    const { listeners } = splitStandby(this.group, members);
    this.hold.close("the group is detached");
    detachGroup(this.#pinTree, this.group, listeners, NOTHING_QUEUED);
  }

  /**
   * Ends the management. Program and pins stay in force. A standby that holds is left to the keeper.
   */
  leave(members: readonly Listener[]): void {
    this.group.invalidate();
    const { listeners } = splitStandby(this.group, members);
    this.#waker?.[Symbol.dispose]();
    this.#waker = null;
    this.hold.leave(listeners);
    this.#apply(listeners, boottimeMs());
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#waker?.[Symbol.dispose]();
    this.hold[Symbol.dispose]();
    this.group[Symbol.dispose]();
    this.#lock[Symbol.dispose]();
  }

  /** Grows the group if it has more listeners than slots. Returns whether it has grown. */
  #grow(members: readonly Listener[], nowMs: number): boolean {
    const { replace } = this.#options;
    const fill = (next: Group) => {
      this.#applyTo(next, placed(this.group, members), nowMs);
      this.hold.enter(next, members);
      this.#waker?.enter(next);
    };
    const lock = this.#growth.step({ members, replace, fill }, nowMs);
    if (lock === null) return false;
    this.#lock[Symbol.dispose]();
    this.#lock = lock;
    return true;
  }

  #apply(targets: readonly Listener[], nowMs: number): Plan {
    const plan = this.#applyTo(this.group, targets, nowMs);
    this.#targets = targets;
    return plan;
  }

  #applyTo(group: Group, targets: readonly Listener[], nowMs: number): Plan {
    return applyGroup(group, targets, {
      schedule: this.#optionSchedule,
      watched: this.#targets !== null,
      reportMoves: this.#waker !== null,
      nowMs,
    });
  }
}
