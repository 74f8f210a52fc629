/** The hold of one managed group: whether it has a standby now, its ready check, and its policy. */
import { isDeepStrictEqual } from "node:util";
import { leftMs } from "../core/hold_step.ts";
import { isSelectable, type Listener, type QueuesByCookie } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import type { HoldPolicy } from "../core/slot.ts";
import { ForeignProgramError } from "../errors.ts";
import type { Group } from "../group/group.ts";
import type { Attached } from "./attach.ts";
import { type HoldEvent, HoldRunner } from "./hold_runner.ts";
import { countUnselectable, NO_STANDBY, refuseUnselectable, splitStandby } from "./members.ts";
import { type ReadyCheck, ReadyProbe } from "./ready_check.ts";

/** Unselectable listeners that stay this long do not belong to a process that is exiting. */
const UNSELECTABLE_MS = 2_000;
/** Poll interval of a hold, ms: short, as its clients wait for a server that listens again. */
const HOLD_POLL_MS = 100;

export interface GroupHoldOptions {
  readonly hold?: HoldPolicy | null;
  /** A hold ends only when a new listener passes this. */
  readonly readyCheck?: ReadyCheck;
  /** Called when a connection arrives at the standby. */
  readonly arrived?: () => void;
}

/** A plan that is in force, on a group whose program is attached. */
export interface Applied {
  readonly plan: Plan;
  readonly attached: Attached;
}

export interface HoldPoll extends Applied {
  /** A hold began or ended. */
  readonly hold: HoldEvent | null;
  /** Conditions that last until a person changes something, one sentence each. */
  readonly warnings: readonly string[];
}

/** Owns the group's standby, if its policy has one. */
export class GroupHold implements Disposable {
  readonly #group: Group;
  #options: GroupHoldOptions;
  /** null: no hold in the policy, or it is suspended. */
  #runner: HoldRunner | null = null;
  #probe: ReadyProbe | null = null;
  #unselectableSinceMs: number | null = null;

  constructor(group: Group, options: GroupHoldOptions) {
    this.#group = group;
    this.#options = options;
    this.#set(options.hold ?? null);
  }

  /**
   * One step of a refresh: chooses the listeners that may be targets, has them applied, then opens,
   * renews or closes the standby.
   * @param apply puts a plan for these listeners in force, and attaches
   * @throws PermissionError, StandbyError if the standby cannot be opened
   */
  poll(
    members: readonly Listener[],
    queues: QueuesByCookie,
    nowMs: number,
    apply: (targets: readonly Listener[]) => Applied,
  ): HoldPoll {
    this.#suspendWhileUnselectable(members, queues, nowMs);
    const { standby, listeners } = splitStandby(this.#group, members);
    const targets = this.#pollReady(listeners, queues, nowMs);
    const applied = this.#applyOrClose(() => apply(targets));
    this.#probe?.start(listeners);
    const { plan } = applied;
    const hold = this.#runner?.step({ standby, queues, listeners: targets, plan, nowMs }) ?? null;
    return { ...applied, hold, warnings: this.#warnings() };
  }

  /**
   * Returns when to poll again (ms, CLOCK_BOOTTIME), or null if no hold is under way or impending.
   */
  dueMs(nowMs: number): number | null {
    if (this.#runner === null) return null;
    const { heldSinceMs } = this.#group.standby;
    if (heldSinceMs !== null) {
      return nowMs + Math.min(HOLD_POLL_MS, leftMs(this.#runner.policy, heldSinceMs, nowMs));
    }
    if (this.#unselectableSinceMs === null) return null;
    return Math.max(this.#unselectableSinceMs + UNSELECTABLE_MS, nowMs + HOLD_POLL_MS);
  }

  /**
   * Changes the options. A hold that is under way goes on, unless the new policy has none.
   * @throws StandbyError if the group can have no standby; nothing is changed then
   */
  change(options: GroupHoldOptions, members: readonly Listener[]): void {
    const { hold = null, readyCheck } = options;
    if (hold && this.#runner === null) refuseUnselectable(members);
    const probesAnew = !isDeepStrictEqual(readyCheck, this.#options.readyCheck);
    this.#options = options;
    if (hold === null || this.#runner === null) {
      this.#set(hold);
      return;
    }
    this.#runner.change(hold);
    if (probesAnew) this.#setProbe(readyCheck);
    this.#record(hold);
  }

  /** Ends it for good: closes the standby, and records that the group has none. */
  end(): void {
    this.#options = {};
    this.#set(null);
  }

  /** Closes the standby: its connections migrate to the group's targets, or are reset. */
  [Symbol.dispose](): void {
    this.#setProbe(undefined);
    this.#runner?.[Symbol.dispose]();
    this.#runner = null;
  }

  /** Closes the standby of the policy before, and begins with this one; null: no hold. */
  #set(hold: HoldPolicy | null): void {
    this[Symbol.dispose]();
    const { arrived = () => {}, readyCheck } = this.#options;
    if (hold) {
      this.#runner = new HoldRunner(this.#group, hold, arrived);
      this.#setProbe(readyCheck);
    }
    this.#record(hold);
  }

  /**
   * Beside a standby the program selects every connection: an unselectable listener would get none.
   */
  #suspendWhileUnselectable(
    members: readonly Listener[],
    queues: QueuesByCookie,
    nowMs: number,
  ): void {
    const { hold = null } = this.#options;
    const since = countUnselectable(members) > 0 ? (this.#unselectableSinceMs ?? nowMs) : null;
    this.#unselectableSinceMs = since;
    // The listener of an exiting process can stay in the group after its files have gone from
    // /proc.
    const suspends = since !== null && nowMs - since >= UNSELECTABLE_MS;
    if (suspends && this.#runner?.isNeeded(queues)) return;
    const policy = suspends ? null : hold;
    if ((policy === null) !== (this.#runner === null)) this.#set(policy);
  }

  /**
   * Returns the listeners that may be targets: none while a hold waits for the first to be ready.
   */
  #pollReady(
    listeners: readonly Listener[],
    queues: QueuesByCookie,
    nowMs: number,
  ): readonly Listener[] {
    if (this.#probe === null || this.#runner === null) return listeners;
    const { heldSinceMs } = this.#group.standby;
    const holds = heldSinceMs !== null && leftMs(this.#runner.policy, heldSinceMs, nowMs) > 0;
    const candidates = listeners.filter(isSelectable);
    if (holds && candidates.length > 0 && !this.#probe.poll(candidates, queues)) return [];
    this.#probe.reset();
    return listeners;
  }

  /**
   * A program of another kind would give the standby a share of new connections: closes it then.
   */
  #applyOrClose(apply: () => Applied): Applied {
    try {
      return apply();
    } catch (error) {
      if (error instanceof ForeignProgramError) this.#runner?.[Symbol.dispose]();
      throw error;
    }
  }

  #warnings(): string[] {
    if (this.#runner !== null) return this.#runner.warnings;
    return this.#options.hold ? [NO_STANDBY] : [];
  }

  #setProbe(check: ReadyCheck | undefined): void {
    this.#probe?.reset();
    this.#probe = check ? new ReadyProbe(this.#group, check) : null;
  }

  #record(hold: HoldPolicy | null): void {
    const { record } = this.#group;
    if (!isDeepStrictEqual(record.hold, hold)) this.#group.setRecord({ ...record, hold });
  }
}
