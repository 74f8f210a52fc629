/** A group under a sidecar's management: taken on, refreshed, given back. */
import { applyGroup } from "./apply.ts";
import { attachProgram, detachProgram, refuseForeign } from "./attachment.ts";
import type { Match } from "./filter.ts";
import { giveBack } from "./give_back.ts";
import { Group } from "./group.ts";
import { type HoldEvent, Holding } from "./holding.ts";
import { endpoint, type Listener } from "./listener.ts";
import { HIDDEN, hidden, refuseHidden, splitStandby } from "./members.ts";
import { capacityFor, type HoldPolicy, type Plan, type Policy } from "./plan.ts";
import { Readings } from "./readings.ts";
import { Readiness, type ReadyCheck } from "./ready.ts";
import { Lock, type State } from "./state.ts";
import { boottimeMs } from "./sys/libc.ts";
import { allOrNothing } from "./undo.ts";
import { type Unlike, unlikeClasses } from "./unlike.ts";
import { Waker } from "./waker.ts";

/** Listeners hidden for so long are no dying process's. */
const HIDDEN_MS = 2_000;

export interface ManageOptions extends Policy {
  /** Override a foreign program. */
  readonly replace: boolean;
  /** A hold ends only when a new listener passes this. */
  readonly readyCheck?: ReadyCheck;
  /** Called when a connection waits at the standby. */
  readonly arrived?: () => void;
}

/** What a refresh did, for the log. */
export interface Refreshed {
  readonly plan: Plan;
  /** The program was attached again: the kernel's group had been re-created. */
  readonly reattached: boolean;
  /** Nothing is attached: no owner of a listener could be borrowed from. */
  readonly unreachable: boolean;
  /** A hold began or ended. */
  readonly hold: HoldEvent | null;
  /** Classes that listen side by side, said for the first time. */
  readonly unlike: readonly Unlike[];
}

/** Owns the group's pins for as long as it lives: no other sidecar can. */
export class ManagedGroup implements Disposable {
  readonly group: Group;
  /** It was not pinned before. */
  readonly isNew: boolean;
  readonly #lock: Lock;
  readonly #options: ManageOptions;
  readonly #readings = new Readings();
  /** Pairs of settings classes that were spoken of. */
  readonly #unlike = new Set<string>();
  #holding: Holding | null = null;
  #readiness: Readiness | null = null;
  #waker: Waker | null = null;
  #hiddenSinceMs: number | null = null;
  #sinceMs = 0;
  #listenedMs = boottimeMs();

  private constructor(group: Group, lock: Lock, isNew: boolean, options: ManageOptions) {
    this.group = group;
    this.#lock = lock;
    this.isNew = isNew;
    this.#options = options;
    this.#hold(options.hold ?? null);
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
  static takeOn(state: State, match: Match, options: ManageOptions): [ManagedGroup, Refreshed] {
    const { name, members } = match;
    if (options.hold) refuseHidden(members);
    if (state.has(name)) return ManagedGroup.#adopt(state, match, options);
    if (!options.replace) refuseForeign(members, null);
    return allOrNothing((undo) => {
      const directory = state.makeUnfinished(name);
      undo(() => state.removeUnfinished(name));
      const lock = new Lock(directory, name);
      undo(() => lock[Symbol.dispose]());
      const group = Group.create(name, newRecord(match, options), directory);
      undo(() => group[Symbol.dispose]());
      const managed = new ManagedGroup(group, lock, true, options);
      undo(() => managed.#endHolding());
      const plan = managed.#apply(members, boottimeMs());
      Group.publish(directory, name);
      undo(() => state.remove(name));
      undo(() => group.record.attachments > 0 && detachProgram(members));
      return [managed, { ...managed.refresh(members), plan }];
    });
  }

  static #adopt(state: State, match: Match, options: ManageOptions): [ManagedGroup, Refreshed] {
    const { name, members, service } = match;
    const { migrate, route, settings = "prefer", replace, hold = null } = options;
    return allOrNothing((undo) => {
      const directory = state.directory(name);
      const lock = new Lock(directory, `the group ${name}`);
      undo(() => lock[Symbol.dispose]());
      const group = Group.open(directory);
      undo(() => group[Symbol.dispose]());
      if (!replace) refuseForeign(members, group.programId);
      const before = group.record;
      const { others } = splitStandby(group, members);
      undo(() => applyGroup(group, others, new Readings(), false, boottimeMs()));
      undo(() => group.setRecord(before));
      group.setRecord({ ...group.record, migrate, route, settings, hold, service });
      group.pruneSources();
      const managed = new ManagedGroup(group, lock, false, options);
      undo(() => managed.#endHolding());
      return [managed, managed.refresh(members)];
    });
  }

  /** One observe-plan-apply step; attaches again where the kernel's group was re-created. */
  refresh(members: readonly Listener[]): Refreshed {
    const nowMs = boottimeMs();
    this.group.reload();
    this.#holdUnlessHidden(members, nowMs);
    const { standby, others } = splitStandby(this.group, members);
    const targets = this.#isReady(others, nowMs) ? others : [];
    const plan = this.#apply(targets, nowMs);
    const before = this.group.record.attachments;
    const done = this.#attach(members);
    this.#readiness?.ask(others);
    const hold = this.#holding?.step(standby, targets, plan, nowMs) ?? null;
    const reattached = done === "attached" && before > 0;
    const unlike = unlikeClasses(plan.slots, others, this.#unlike);
    return { plan, reattached, unreachable: done === "unreachable", hold, unlike };
  }

  /**
   * Wakes destinations from now on, as this kernel does not.
   * @param observe the members of every group now
   */
  wake(
    observe: () => ReadonlyMap<string, readonly Listener[]>,
    failed: (e: unknown) => void,
  ): void {
    const { group } = this;
    const others = () => splitStandby(group, observe().get(group.name) ?? []).others;
    this.#waker ??= new Waker(group, others, failed);
    this.#apply(others(), boottimeMs());
  }

  /** When it wants to be looked at again, ms; null: not before something happens. */
  get dueMs(): number | null {
    return this.#holding?.dueMs(boottimeMs()) ?? null;
  }

  /** Conditions that last until somebody acts, one sentence each. */
  get warnings(): string[] {
    const warnings = this.#holding?.warnings ?? [];
    if (this.#options.hold && this.#holding === null) warnings.push(HIDDEN);
    return warnings;
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
    const { others } = splitStandby(this.group, members);
    this.#endHolding();
    giveBack(state, this.group, others);
  }

  /**
   * Lets go of the group; what is attached and pinned stays in force, but the standby: nobody would
   * be there to hand over what it holds.
   */
  leave(members: readonly Listener[]): void {
    const { others } = splitStandby(this.group, members);
    this.#waker?.[Symbol.dispose]();
    this.#waker = null;
    this.#hold(null);
    this.#apply(others, boottimeMs());
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#waker?.[Symbol.dispose]();
    this.#endHolding();
    this.group[Symbol.dispose]();
    this.#lock[Symbol.dispose]();
  }

  #hold(hold: HoldPolicy | null): void {
    const { group } = this;
    const { readyCheck, arrived = () => {} } = this.#options;
    this.#endHolding();
    if (hold) this.#holding = new Holding(group, hold, arrived);
    if (hold && readyCheck) this.#readiness = new Readiness(group, readyCheck);
    if (!same(group.record.hold, hold)) group.setRecord({ ...group.record, hold });
  }

  /** Closes the standby: what it holds moves to the group's targets, or is reset without any. */
  #endHolding(): void {
    this.#readiness?.[Symbol.dispose]();
    this.#readiness = null;
    this.#holding?.[Symbol.dispose]();
    this.#holding = null;
  }

  /** A listener the program cannot select would get nothing beside a standby. */
  #holdUnlessHidden(members: readonly Listener[], nowMs: number): void {
    const { hold = null } = this.#options;
    this.#hiddenSinceMs = hidden(members) > 0 ? (this.#hiddenSinceMs ?? nowMs) : null;
    // A dying process shows no files any more while its listener is still in the group.
    const lasts = this.#hiddenSinceMs !== null && nowMs - this.#hiddenSinceMs >= HIDDEN_MS;
    if (lasts && this.#holding?.isNeeded(members)) return;
    const wanted = lasts ? null : hold;
    if ((wanted === null) !== (this.#holding === null)) this.#hold(wanted);
  }

  /** Whether new listeners may be targets: at once, unless a hold waits for them to be ready. */
  #isReady(others: readonly Listener[], nowMs: number): boolean {
    if (this.#readiness === null) return true;
    const waits = this.group.standby.heldSinceMs !== null && this.#holding?.isOver(nowMs) === false;
    if (waits && !this.#readiness.look(others)) return others.length === 0;
    this.#readiness[Symbol.dispose]();
    return true;
  }

  #apply(members: readonly Listener[], nowMs: number): Plan {
    const { group } = this;
    const tell = this.#waker !== null;
    const plan = applyGroup(group, members, this.#readings, this.#sinceMs > 0, nowMs, tell);
    this.#readings.keep(members);
    this.#sinceMs = nowMs;
    if (members.length > 0) this.#listenedMs = nowMs;
    return plan;
  }

  #attach(members: readonly Listener[]): "attached" | "unchanged" | "unreachable" {
    const { group } = this;
    if (members.length === 0) return "unchanged";
    if (members.some(({ programId }) => programId === group.programId)) return "unchanged";
    if (!this.#options.replace) this.#refuseForeign(members);
    if (!attachProgram(members, group.programFd)) return "unreachable";
    const attachments = group.record.attachments + 1;
    group.setRecord({ ...group.record, attachments, uid: members[0]?.uid ?? group.record.uid });
    return "attached";
  }

  #refuseForeign(members: readonly Listener[]): void {
    try {
      refuseForeign(members, this.group.programId);
    } catch (error) {
      // That program knows nothing of a standby, and would give it a share.
      this.#holding?.[Symbol.dispose]();
      throw error;
    }
  }
}

function newRecord(
  { members, service }: Match,
  { migrate, route, settings = "prefer", hold = null }: Policy,
) {
  const [first] = members;
  if (!first) throw new Error("a group has a listener");
  const { key, uid } = first;
  const slots = capacityFor(members.length);
  const policy = { migrate, route, settings, hold };
  return { abiVersion: 0, key, uid, ...policy, slots, attachments: 0, service };
}

function same(a: HoldPolicy | null, b: HoldPolicy | null): boolean {
  return a?.timeMs === b?.timeMs && a?.max === b?.max;
}
