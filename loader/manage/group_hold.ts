/** Whether one managed group holds, and how: its standby, its ready check, and other policy for them. */
import { isDeepStrictEqual } from "node:util";
import type { Listener } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import type { HoldPolicy } from "../core/slot.ts";
import type { Group } from "../group/group.ts";
import { type HoldEvent, HoldRunner } from "./hold_runner.ts";
import { HIDDEN, hidden, refuseHidden } from "./members.ts";
import { type ReadyCheck, ReadyProbe } from "./ready_check.ts";

/** Listeners hidden for so long are no dying process's. */
const HIDDEN_MS = 2_000;

export interface GroupHoldOptions {
  readonly hold?: HoldPolicy | null;
  /** A hold ends only when a new listener passes this. */
  readonly readyCheck?: ReadyCheck;
  /** Called when a connection waits at the standby. */
  readonly arrived?: () => void;
}

/** Owns the group's standby, if it is to have one. */
export class GroupHold implements Disposable {
  readonly #group: Group;
  #options: GroupHoldOptions;
  #holding: HoldRunner | null = null;
  #readiness: ReadyProbe | null = null;
  #hiddenSinceMs: number | null = null;

  constructor(group: Group, options: GroupHoldOptions) {
    this.#group = group;
    this.#options = options;
    this.set(options.hold ?? null);
  }

  /** A standby is wanted, and may be had. */
  get active(): boolean {
    return this.#holding !== null;
  }

  /** Holds by this policy from now on, with another standby; null: not at all. */
  set(hold: HoldPolicy | null): void {
    this[Symbol.dispose]();
    if (hold)
      this.#holding = new HoldRunner(this.#group, hold, this.#options.arrived ?? (() => {}));
    if (hold) this.#askBy(this.#options.readyCheck);
    this.#record(hold);
  }

  /**
   * Other options; what is held stays held, unless nothing is to be.
   * @throws StandbyError when it is to hold and cannot; nothing is changed then
   */
  change(options: GroupHoldOptions, members: readonly Listener[]): void {
    const { hold = null, readyCheck } = options;
    if (hold && this.#holding === null) refuseHidden(members);
    const asksAnew = !isDeepStrictEqual(readyCheck, this.#options.readyCheck);
    this.#options = options;
    if (hold === null || this.#holding === null) {
      this.set(hold);
      return;
    }
    this.#holding.change(hold);
    if (asksAnew) this.#askBy(readyCheck);
    this.#record(hold);
  }

  /** A listener the program cannot select would get nothing beside a standby. */
  unlessHidden(members: readonly Listener[], nowMs: number): void {
    const { hold = null } = this.#options;
    this.#hiddenSinceMs = hidden(members) > 0 ? (this.#hiddenSinceMs ?? nowMs) : null;
    // A dying process shows no files any more while its listener is still in the group.
    const lasts = this.#hiddenSinceMs !== null && nowMs - this.#hiddenSinceMs >= HIDDEN_MS;
    if (lasts && this.#holding?.isNeeded(members)) return;
    const wanted = lasts ? null : hold;
    if ((wanted === null) !== (this.#holding === null)) this.set(wanted);
  }

  /** Whether new listeners may be targets: at once, unless a hold waits for them to be ready. */
  isReady(others: readonly Listener[], nowMs: number): boolean {
    if (this.#readiness === null) return true;
    const { heldSinceMs } = this.#group.standby;
    const waits = heldSinceMs !== null && this.#holding?.isOver(nowMs) === false;
    if (waits && !this.#readiness.look(others)) return others.length === 0;
    this.#readiness[Symbol.dispose]();
    return true;
  }

  /** After the plan is in force: asks the candidate. */
  ask(others: readonly Listener[]): void {
    this.#readiness?.ask(others);
  }

  /** As {@link HoldRunner.step}. */
  step(
    standby: Listener | undefined,
    others: readonly Listener[],
    plan: Plan,
    nowMs: number,
  ): HoldEvent | null {
    return this.#holding?.step(standby, others, plan, nowMs) ?? null;
  }

  /** It is to be looked at in every pass: it holds, or waits to see whether it can. */
  isRestless(nowMs: number): boolean {
    if (!this.#options.hold) return false;
    const hiddenMs = nowMs - (this.#hiddenSinceMs ?? Number.NEGATIVE_INFINITY);
    return hiddenMs < 2 * HIDDEN_MS || this.#group.standby.heldSinceMs !== null;
  }

  /** When to look again, ms; null: not before something happens. */
  dueMs(nowMs: number): number | null {
    return this.#holding?.dueMs(nowMs) ?? null;
  }

  /** Conditions that last until somebody acts, one sentence each. */
  get warnings(): string[] {
    const warnings = this.#holding?.warnings ?? [];
    if (this.#options.hold && this.#holding === null) warnings.push(HIDDEN);
    return warnings;
  }

  /** Closes the standby until the next step: a program that knows nothing of it would give it a share. */
  closeStandby(): void {
    this.#holding?.[Symbol.dispose]();
  }

  /** Closes the standby: what it holds moves to the group's targets, or is reset without any. */
  [Symbol.dispose](): void {
    this.#readiness?.[Symbol.dispose]();
    this.#readiness = null;
    this.#holding?.[Symbol.dispose]();
    this.#holding = null;
  }

  #askBy(check: ReadyCheck | undefined): void {
    this.#readiness?.[Symbol.dispose]();
    this.#readiness = check ? new ReadyProbe(this.#group, check) : null;
  }

  #record(hold: HoldPolicy | null): void {
    const { record } = this.#group;
    if (!isDeepStrictEqual(record.hold, hold)) this.#group.setRecord({ ...record, hold });
  }
}
