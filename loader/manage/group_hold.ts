/** The hold of one managed group: whether it has a standby now, its ready check, and its policy. */
import { isDeepStrictEqual } from "node:util";
import { leftMs } from "../core/hold_step.ts";
import type { Listener, QueuesByCookie } from "../core/listener.ts";
import type { HoldPolicy } from "../core/slot.ts";
import { ForeignProgramError } from "../errors.ts";
import type { Group } from "../group/group.ts";
import type { HoldEvent } from "../hold/hold_event.ts";
import { HoldRunner } from "../hold/hold_runner.ts";
import {
  countUnplaced,
  countUnselectable,
  isKeyed,
  KEYED,
  NO_STANDBY,
  noStandbyBeside,
  refuseUnselectable,
  splitStandby,
} from "../hold/members.ts";
import { type ReadyCheck, ReadyGate } from "../hold/ready_check.ts";
import type { Applied, GroupHoldOptions, HoldPoll } from "./manage_options.ts";

/** Unselectable listeners that stay this long do not belong to a process that is exiting. */
const UNSELECTABLE_MS = 2_000;
/** Causes of the end of a hold. */
const UNPLACED = "there are listeners without a slot";
const FOREIGN = "another program is attached";
/** Poll interval of a hold or a ready check, ms: short, as clients wait for the server. */
const HOLD_POLL_MS = 100;

/** Owns the group's standby, if its policy has one. */
export class GroupHold implements Disposable {
  readonly #group: Group;
  #options: GroupHoldOptions;
  /** null: no hold in the policy, or it is suspended. */
  #runner: HoldRunner | null = null;
  #gate: ReadyGate | null = null;
  #unselectableSinceMs: number | null = null;
  #isKeyed = false;
  /** A listener outside the group that gets its clients while it has no listener. */
  #instead: Listener | null = null;
  #events: HoldEvent[] = [];

  constructor(group: Group, options: GroupHoldOptions) {
    this.#group = group;
    this.#options = options;
    this.#set(options.hold ?? null);
  }

  /** Returns what began or ended since the last call. */
  takeEvents(): HoldEvent[] {
    return this.#events.splice(0);
  }

  /**
   * One step of a refresh: chooses the listeners that may be targets, has them applied, then opens,
   * renews or closes the standby.
   * @param instead another listener that would get the group's clients: then there is no standby,
   *   and a hold ends
   * @param apply puts a plan for these listeners in force, and attaches
   * @throws PermissionError, StandbyError if the standby cannot be opened
   */
  poll(
    members: readonly Listener[],
    queues: QueuesByCookie,
    nowMs: number,
    instead: Listener | null,
    apply: (targets: readonly Listener[]) => Applied,
  ): HoldPoll {
    this.#instead = instead;
    this.#suspendWhileStarving(members, queues, nowMs);
    const { standby, listeners } = splitStandby(this.#group, members);
    const targets = this.#admit(listeners, nowMs);
    const applied = this.#applyOrClose(() => apply(targets));
    this.#gate?.advance(listeners);
    const { plan } = applied;
    const hasOthers = listeners.length > 0;
    this.#runner?.step({ standby, queues, listeners: targets, hasOthers, plan, nowMs });
    return { ...applied, warnings: this.#warnings() };
  }

  /**
   * Returns when to poll again (ms, CLOCK_BOOTTIME), or null if no hold is under way or impending,
   * and no ready check.
   */
  dueMs(nowMs: number): number | null {
    const checkMs = this.#gate?.isChecking ? nowMs + HOLD_POLL_MS : null;
    if (this.#runner === null) return checkMs;
    const { heldSinceMs } = this.#group.standby;
    if (heldSinceMs !== null) {
      return nowMs + Math.min(HOLD_POLL_MS, leftMs(this.#runner.policy, heldSinceMs, nowMs));
    }
    if (this.#unselectableSinceMs === null) return checkMs;
    return Math.max(this.#unselectableSinceMs + UNSELECTABLE_MS, nowMs + HOLD_POLL_MS);
  }

  /** A bind has failed because of the standby since the last {@link poll}. */
  get hasRefusedBind(): boolean {
    return this.#runner?.hasRefusedBind === true;
  }

  /**
   * Changes the options. A hold that is under way goes on, unless the new policy has none.
   * @throws StandbyError if the group can have no standby; nothing is changed then
   */
  change(options: GroupHoldOptions, members: readonly Listener[]): void {
    const { hold = null, readyCheck, readyFirst } = options;
    if (hold && this.#runner === null) refuseUnselectable(members);
    const before = this.#options;
    const checksAnew = !isDeepStrictEqual(
      [readyCheck, readyFirst],
      [before.readyCheck, before.readyFirst],
    );
    this.#options = options;
    if (hold === null || this.#runner === null) {
      this.#set(hold, "the policy has no hold any longer");
      return;
    }
    this.#runner.change(hold);
    if (checksAnew) this.#setGate(readyCheck);
    this.#record(hold);
  }

  /** Enters an instance that is going to replace the group's. A check under way begins again there. */
  enter(next: Group, members: readonly Listener[]): void {
    this.#gate?.[Symbol.dispose]();
    this.#runner?.enter(next, splitStandby(this.#group, members).standby);
  }

  /** A sidecar ends, and leaves the group attached: a hold under way is a successor's to end. */
  leave(listeners: readonly Listener[]): void {
    if (this.#runner?.isHolding(listeners)) this.#runner.leave();
    else this.end();
  }

  /** Ends it for good: closes the standby, and records that the group has none. */
  end(): void {
    this.#options = {};
    this.#set(null, "the sidecar ends");
  }

  /** Closes the standby; the next {@link poll} opens another. */
  close(cause: string): void {
    this.#runner?.suspend(cause);
    this[Symbol.dispose]();
  }

  /** Closes the standby: its connections migrate to the group's targets, or are reset. */
  [Symbol.dispose](): void {
    this.#setGate(undefined);
    this.#runner?.[Symbol.dispose]();
    this.#runner = null;
  }

  /**
   * Closes the standby of the policy before, and begins with this one; null: no hold.
   * @param cause why a hold ends
   */
  #set(hold: HoldPolicy | null, cause = ""): void {
    this.#runner?.release(cause);
    this[Symbol.dispose]();
    const { arrived = () => {}, readyCheck, readyFirst } = this.#options;
    const told = (event: HoldEvent) => this.#events.push(event);
    if (hold) this.#runner = new HoldRunner(this.#group, hold, { arrived, told });
    if (hold || readyFirst) this.#setGate(readyCheck);
    this.#record(hold);
  }

  /**
   * Beside a standby the program selects every connection: a listener that cannot be selected, or
   * has no slot, would get none.
   */
  #suspendWhileStarving(members: readonly Listener[], queues: QueuesByCookie, nowMs: number): void {
    const { hold = null } = this.#options;
    const since = countUnselectable(members) > 0 ? (this.#unselectableSinceMs ?? nowMs) : null;
    this.#unselectableSinceMs = since;
    // The listener of an exiting process can stay in the group after its files have gone from
    // /proc.
    this.#isKeyed = isKeyed(members);
    const isUnselectable = since !== null && nowMs - since >= UNSELECTABLE_MS;
    const suspends = isUnselectable || countUnplaced(this.#group, members) > 0;
    // A standby without the keys is an open door, and one that takes another listener's clients is
    // in the way: these close, whatever they hold.
    const isHarmful = this.#isKeyed || this.#instead !== null;
    if (suspends && !isHarmful && this.#runner?.isNeeded(queues)) return;
    const policy = suspends || isHarmful ? null : hold;
    if ((policy === null) === (this.#runner === null)) return;
    this.#set(policy, this.#obstacle ?? UNPLACED);
  }

  /**
   * Returns the listeners that may be targets: while a hold lasts, or always, those that are ready.
   */
  #admit(listeners: readonly Listener[], nowMs: number): readonly Listener[] {
    if (this.#gate === null) return listeners;
    const { heldSinceMs } = this.#group.standby;
    const policy = this.#runner?.policy;
    const left = policy && heldSinceMs !== null ? leftMs(policy, heldSinceMs, nowMs) : null;
    const { readyFirst = false } = this.#options;
    // When the time is up, whoever listens gets what is held.
    if (left === null ? readyFirst : left > 0) return this.#gate.admit(listeners, !readyFirst);
    this.#gate[Symbol.dispose]();
    return listeners;
  }

  /**
   * A program of another kind would give the standby a share of new connections: closes it then.
   */
  #applyOrClose(apply: () => Applied): Applied {
    try {
      return apply();
    } catch (error) {
      if (error instanceof ForeignProgramError) this.#runner?.suspend(FOREIGN);
      throw error;
    }
  }

  #warnings(): readonly string[] {
    const { hold } = this.#options;
    const obstacles = hold && this.#obstacle !== null ? [this.#obstacle] : [];
    return [...(this.#runner?.warnings ?? obstacles), ...(this.#gate?.warnings ?? [])];
  }

  /** Why there may be no standby; null: nothing, or listeners without a slot, which is said. */
  get #obstacle(): string | null {
    if (this.#isKeyed) return `no standby: ${KEYED}`;
    if (this.#instead !== null) return noStandbyBeside(this.#instead);
    return this.#unselectableSinceMs === null ? null : NO_STANDBY;
  }

  #setGate(check: ReadyCheck | undefined): void {
    this.#gate?.[Symbol.dispose]();
    this.#gate = check ? new ReadyGate(this.#group, check) : null;
  }

  #record(hold: HoldPolicy | null): void {
    const { record } = this.#group;
    if (!isDeepStrictEqual(record.hold, hold)) this.#group.setRecord({ ...record, hold });
  }
}
