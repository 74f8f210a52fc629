/** Carries out what hold.ts says for one managed group: opens its standby, hands over, ends holds. */

import type { HoldResult } from "../core/abi.ts";
import { leftMs, nextStep, type Step } from "../core/hold_step.ts";
import type { Listener } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import type { HoldPolicy } from "../core/slot.ts";
import type { Group } from "../group/group.ts";
import { addEnded } from "../group/hold_record.ts";
import { borrow } from "../net/borrow.ts";
import { optionsDigest, readSocketOptions, type SocketOptions } from "../net/socket_options.ts";
import { StandbySocket } from "../net/standby_socket.ts";

/** Something a hold did, for the log. */
export interface HoldEvent {
  readonly started?: true;
  readonly ended?: HoldResult;
  /** Connections it held at that moment. */
  readonly connections: number;
  readonly heldMs: number;
}

/** Looked at this often while it holds, ms: a server that listens again must not wait. */
export const HOLDING_MS = 100;

/** Owns a group's standby. */
export class HoldRunner implements Disposable {
  readonly #group: Group;
  #hold: HoldPolicy;
  readonly #arrived: () => void;
  #standby: StandbySocket | null = null;
  /** Digest of the settings it was given. */
  #follows = 0n;
  /** Cookie of the standby before, whose handshakes may still come. */
  #former = 0n;

  /** @param arrived called when a connection waits at the standby */
  constructor(group: Group, hold: HoldPolicy, arrived: () => void) {
    this.#group = group;
    this.#hold = hold;
    this.#arrived = arrived;
  }

  /** When to look again, ms from now; null: no hold is under way. */
  dueMs(nowMs: number): number | null {
    const { heldSinceMs } = this.#group.standby;
    if (heldSinceMs === null) return null;
    return Math.min(HOLDING_MS, leftMs(this.#hold, heldSinceMs, nowMs));
  }

  /** Another policy from now on; what is held stays held. The caller records it. */
  change(hold: HoldPolicy): void {
    if (hold.max !== this.#hold.max) this.#standby?.resize(hold.max);
    this.#hold = hold;
  }

  /** It holds, or has connections: closing the standby now could reset them. */
  isNeeded(members: readonly Listener[]): boolean {
    const { cookie, heldSinceMs } = this.#group.standby;
    const standby = members.find((member) => member.cookie === cookie);
    return heldSinceMs !== null || (standby?.queueLength ?? 0) > 0;
  }

  /** The hold under way has had its time. */
  isOver(nowMs: number): boolean {
    const { heldSinceMs } = this.#group.standby;
    return heldSinceMs !== null && leftMs(this.#hold, heldSinceMs, nowMs) === 0;
  }

  /**
   * One step, after the plan is in force.
   * @param others the group's listeners but the standby
   * @throws PermissionError, StandbyError when the standby cannot be opened
   */
  step(standby: Listener | undefined, others: readonly Listener[], plan: Plan, nowMs: number) {
    const pinned = this.#group.standby;
    const state = standby ? "listens" : "deaf";
    const connections = standby?.queueLength ?? 0;
    const step = nextStep({
      hold: this.#hold,
      targets: plan.targets.count,
      left: plan.changed.some(({ closedMs }) => closedMs !== null),
      standby: this.#standby === null ? "none" : state,
      waiting: connections + (standby?.halfOpen ?? 0),
      heldSinceMs: pinned.heldSinceMs,
      nowMs,
    });
    if (step.starts) this.#start(nowMs);
    if (step.ends) this.#end(step.ends, nowMs);
    this.#carryOut(step, others, plan);
    if (step.standby === "keep") this.#follow(others, plan);
    return eventOf(step, connections, nowMs - (pinned.heldSinceMs ?? nowMs));
  }

  /** Conditions that last until somebody acts, one sentence each. */
  get warnings(): string[] {
    const { differs = [], backlog = this.#hold.max } = this.#standby ?? {};
    const warnings: string[] = [];
    if (differs.length > 0) {
      warnings.push(
        `the standby cannot take these settings of its listeners: ${differs.join(", ")}`,
      );
    }
    if (backlog < this.#hold.max) {
      warnings.push(
        `the standby holds ${backlog} connections, not ${this.#hold.max}: raise net.core.somaxconn`,
      );
    }
    return warnings;
  }

  [Symbol.dispose](): void {
    this.#standby?.[Symbol.dispose]();
    this.#standby = null;
  }

  #start(nowMs: number): void {
    const { holdCounts } = this.#group;
    this.#group.setStandby({ ...this.#group.standby, heldSinceMs: nowMs });
    this.#group.setHoldCounts({ ...holdCounts, started: holdCounts.started + 1 });
  }

  #end(result: HoldResult, nowMs: number): void {
    const pinned = this.#group.standby;
    this.#group.setHoldCounts(
      addEnded(this.#group.holdCounts, result, nowMs - (pinned.heldSinceMs ?? nowMs)),
    );
    this.#group.setStandby({ ...pinned, heldSinceMs: null });
  }

  #carryOut({ standby }: Step, others: readonly Listener[], plan: Plan): void {
    const old = this.#standby;
    if (standby === "keep") return;
    try {
      // The new one first: at no moment is the group without.
      if (standby !== "close") this.#open(others, plan);
    } finally {
      // This close() moves what the old one holds to the targets, or resets it when there are none.
      old?.[Symbol.dispose]();
      if (this.#standby === old) this.#standby = null;
    }
  }

  #open(others: readonly Listener[], plan: Plan): void {
    const group = this.#group;
    const { key, uid } = group.record;
    const model = modelOf(others, plan);
    const settings = (model && settingsOf(model)) ?? group.standby.settings;
    const standby = StandbySocket.open(key, others[0]?.uid ?? uid, settings, this.#hold.max);
    try {
      if (this.#former !== 0n) group.removeSource(this.#former);
      this.#former = group.standby.cookie;
      this.#identify(standby, settings, plan);
      standby.place((fd) => group.setListener(group.standbySlot, fd));
    } catch (error) {
      standby[Symbol.dispose]();
      throw error;
    }
    this.#standby = standby;
    standby.watch(this.#arrived);
  }

  /** Who the standby is, for its decisions and for status; its class is that of listeners like it. */
  #identify({ cookie }: StandbySocket, settings: SocketOptions, plan: Plan): void {
    const digest = optionsDigest(settings);
    const like = plan.slots.find((slot) => slot.optionsDigest === digest);
    const slot = this.#group.standbySlot;
    this.#group.setSource({ cookie, slot, class: like?.class ?? 0 });
    this.#group.setStandby({ ...this.#group.standby, cookie, settings });
    this.#follows = digest;
  }

  /** Listeners' settings may change while they listen; the standby's then do too. */
  #follow(others: readonly Listener[], plan: Plan): void {
    const model = modelOf(others, plan);
    const digest = plan.slots.find(({ cookie }) => cookie === model?.cookie)?.optionsDigest;
    if (this.#standby === null || !model || !digest || digest === this.#follows) return;
    const settings = settingsOf(model);
    if (settings === undefined) return;
    this.#standby.follow(settings);
    this.#identify(this.#standby, settings, plan);
  }
}

/** The listener whose settings the standby takes: the first of the newest generation. */
function modelOf(others: readonly Listener[], plan: Plan): Listener | undefined {
  const [newest] = plan.slots
    .filter(({ closedMs }) => closedMs === null)
    .toSorted((a, b) => b.generation - a.generation || a.slot - b.slot);
  return others.find(({ cookie }) => cookie === newest?.cookie);
}

function settingsOf(listener: Listener): SocketOptions | undefined {
  return borrow(listener, (fd) => readSocketOptions(fd, listener.key.family));
}

function eventOf(step: Step, connections: number, heldMs: number): HoldEvent | null {
  if (step.starts) return { started: true, connections, heldMs: 0 };
  if (step.ends) return { ended: step.ends, connections, heldMs };
  return null;
}
