/**
 * Carries out the steps of core/hold_step.ts for one group: opens its standby, hands over, ends
 * holds.
 */

import type { HoldResult } from "../core/abi.ts";
import { nextStep, type Step } from "../core/hold_step.ts";
import { type Listener, NO_QUEUES, type Queues, type QueuesByCookie } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import type { HoldPolicy } from "../core/slot.ts";
import type { Group } from "../group/group.ts";
import { addEnded } from "../group/hold_record.ts";
import { optionsDigest, type SocketOptions, socketOptionsOf } from "../net/socket_options.ts";
import { StandbySocket } from "../net/standby_socket.ts";

/** The beginning or the end of a hold, for the log. */
export interface HoldEvent {
  readonly started?: true;
  readonly ended?: HoldResult;
  /** Connections it held at that moment. */
  readonly connections: number;
  readonly heldMs: number;
}

/** A group with its plan in force. */
interface GroupNow {
  readonly standby: Listener | undefined;
  readonly queues: QueuesByCookie;
  /** The listeners that may be targets, without the standby. */
  readonly listeners: readonly Listener[];
  readonly plan: Plan;
  /** CLOCK_BOOTTIME */
  readonly nowMs: number;
}

/** Owns a group's standby. */
export class HoldRunner implements Disposable {
  readonly #group: Group;
  #policy: HoldPolicy;
  readonly #arrived: () => void;
  #standby: StandbySocket | null = null;
  /** Digest of the standby's socket options. */
  #optionsDigest = 0n;
  /** Cookie of the standby before: its handshakes may still migrate. */
  #previousCookie = 0n;

  /** @param arrived called when a connection arrives at the standby */
  constructor(group: Group, policy: HoldPolicy, arrived: () => void) {
    this.#group = group;
    this.#policy = policy;
    this.#arrived = arrived;
  }

  get policy(): HoldPolicy {
    return this.#policy;
  }

  /** Changes the policy; a hold under way goes on. The caller records the policy. */
  change(policy: HoldPolicy): void {
    if (policy.max !== this.#policy.max) this.#standby?.resize(policy.max);
    this.#policy = policy;
  }

  /** True while it holds or has connections: closing the standby could reset them. */
  isNeeded(queues: QueuesByCookie): boolean {
    return this.#group.standby.heldSinceMs !== null || this.#queues(queues).length > 0;
  }

  /** Takes one step. @throws PermissionError, StandbyError if the standby cannot be opened */
  step({ standby, queues, listeners, plan, nowMs }: GroupNow): HoldEvent | null {
    const pinned = this.#group.standby;
    const state = standby ? "listens" : "deaf";
    const { length, halfOpen } = this.#queues(queues);
    const step = nextStep({
      hold: this.#policy,
      targets: plan.targets.count,
      left: plan.changed.some(({ closedMs }) => closedMs !== null),
      standby: this.#standby === null ? "none" : state,
      waiting: length + halfOpen,
      heldSinceMs: pinned.heldSinceMs,
      nowMs,
    });
    if (step.starts) this.#start(nowMs);
    if (step.ends) this.#end(step.ends, nowMs);
    this.#carryOut(step, listeners, plan);
    if (step.standby === "keep") this.#copyOptions(listeners, plan);
    return eventOf(step, length, nowMs - (pinned.heldSinceMs ?? nowMs));
  }

  /** Conditions that last until a person changes something, one sentence each. */
  get warnings(): string[] {
    const { differs = [], backlog = this.#policy.max } = this.#standby ?? {};
    const warnings: string[] = [];
    if (differs.length > 0) {
      warnings.push(
        `the standby differs from its listeners in ${differs.join(", ")}: the kernel refused to set that`,
      );
    }
    if (backlog < this.#policy.max) {
      warnings.push(
        `the standby holds ${backlog} connections, not ${this.#policy.max}: raise net.core.somaxconn`,
      );
    }
    return warnings;
  }

  [Symbol.dispose](): void {
    this.#standby?.[Symbol.dispose]();
    this.#standby = null;
  }

  #queues(queues: QueuesByCookie): Queues {
    return queues.get(this.#group.standby.cookie) ?? NO_QUEUES;
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

  #carryOut({ standby }: Step, listeners: readonly Listener[], plan: Plan): void {
    const old = this.#standby;
    if (standby === "keep") return;
    try {
      // Open first, so that the group is never without a standby.
      if (standby !== "close") this.#open(listeners, plan);
    } finally {
      // Its connections migrate to the targets, or are reset if there are none.
      old?.[Symbol.dispose]();
      if (this.#standby === old) this.#standby = null;
    }
  }

  #open(listeners: readonly Listener[], plan: Plan): void {
    const group = this.#group;
    const { key, uid } = group.record;
    const model = modelOf(listeners, plan);
    const options = (model && socketOptionsOf(model)) ?? group.standby.options;
    const standby = StandbySocket.open(key, listeners[0]?.uid ?? uid, options, this.#policy.max);
    try {
      if (this.#previousCookie !== 0n) group.removeSource(this.#previousCookie);
      this.#previousCookie = group.standby.cookie;
      this.#record(standby, options, plan);
      standby.place((fd) => group.setListener(group.standbySlot, fd));
    } catch (error) {
      standby[Symbol.dispose]();
      throw error;
    }
    this.#standby = standby;
    standby.watch(this.#arrived);
  }

  /**
   * Records the standby for the program and for status; its class is that of listeners with its
   * options.
   */
  #record({ cookie }: StandbySocket, options: SocketOptions, plan: Plan): void {
    const digest = optionsDigest(options);
    const like = plan.slots.find((slot) => slot.optionsDigest === digest);
    const slot = this.#group.standbySlot;
    this.#group.setSource({ cookie, slot, class: like?.class ?? 0 });
    this.#group.setStandby({ ...this.#group.standby, cookie, options });
    this.#optionsDigest = digest;
  }

  /** Copies the options of its model, which may change while that listens. */
  #copyOptions(listeners: readonly Listener[], plan: Plan): void {
    const model = modelOf(listeners, plan);
    const digest = plan.slots.find(({ cookie }) => cookie === model?.cookie)?.optionsDigest;
    if (this.#standby === null || !model || !digest || digest === this.#optionsDigest) return;
    const options = socketOptionsOf(model);
    if (options === undefined) return;
    this.#standby.copyOptions(options);
    this.#record(this.#standby, options, plan);
  }
}

/** Returns the listener whose options the standby copies: the first of the newest generation. */
function modelOf(listeners: readonly Listener[], plan: Plan): Listener | undefined {
  const [newest] = plan.slots
    .filter(({ closedMs }) => closedMs === null)
    .toSorted((a, b) => b.generation - a.generation || a.slot - b.slot);
  return listeners.find(({ cookie }) => cookie === newest?.cookie);
}

function eventOf(step: Step, connections: number, heldMs: number): HoldEvent | null {
  if (step.starts) return { started: true, connections, heldMs: 0 };
  if (step.ends) return { ended: step.ends, connections, heldMs };
  return null;
}
