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
import { isOrphan } from "../keeper/orphans.ts";
import type { RefusedBind } from "../observe/standby_binds.ts";
import { boottimeMs } from "../sys/libc.ts";
import { type Beside, GroupStandby } from "./group_standby.ts";
import { type HoldEnd, type HoldEvent, isNews, UNSEEN } from "./hold_event.ts";
import { RefusedBinds } from "./refused_binds.ts";

/** A group with its plan in force. */
interface GroupNow extends Beside {
  readonly standby: Listener | undefined;
  readonly queues: QueuesByCookie;
  /** There are other listeners in the group, targets or not. */
  readonly hasOthers: boolean;
  /** CLOCK_BOOTTIME */
  readonly nowMs: number;
}

/** What a runner tells its owner. */
export interface HoldNews {
  /** A connection arrived at the standby. */
  readonly arrived: () => void;
  readonly told: (event: HoldEvent) => void;
}

const SHUT_DOWN = "another command ended the standby";

/** Owns a group's standby. */
export class HoldRunner implements Disposable {
  readonly #group: Group;
  #policy: HoldPolicy;
  readonly #told: (event: HoldEvent) => void;
  readonly #standby: GroupStandby;
  readonly #refused: RefusedBinds;

  constructor(group: Group, policy: HoldPolicy, { arrived, told }: HoldNews) {
    this.#group = group;
    this.#policy = policy;
    this.#told = told;
    this.#standby = new GroupStandby(group, arrived);
    this.#refused = new RefusedBinds(arrived);
  }

  get policy(): HoldPolicy {
    return this.#policy;
  }

  /** Changes the policy; a hold under way goes on. The caller records the policy. */
  change(policy: HoldPolicy): void {
    if (policy.max !== this.#policy.max) this.#standby.resize(policy.max);
    this.#policy = policy;
  }

  /** True while it holds or has connections: closing the standby could reset them. */
  isNeeded(queues: QueuesByCookie): boolean {
    return this.#group.standby.heldSinceMs !== null || this.#queues(queues).length > 0;
  }

  /** Takes one step. @throws PermissionError, StandbyError if the standby cannot be opened */
  step({ standby, queues, hasOthers, nowMs, ...beside }: GroupNow): void {
    const { plan } = beside;
    if (!this.#standby.isOpen && standby && isOrphan(standby)) this.#takeOver(standby, plan);
    const { heldSinceMs } = this.#group.standby;
    this.#refused.retry();
    if (plan.targets.count > 0) this.#refused.forget();
    const yieldedTo = this.#refused.take(nowMs);
    const state = standby && yieldedTo === null ? "listens" : "deaf";
    const own = this.#queues(queues);
    this.#standby.note({ queues: own, hasOthers });
    const step = nextStep({
      hold: this.#policy,
      targets: plan.targets.count,
      left: plan.changed.some(({ closedMs }) => closedMs !== null),
      standby: this.#standby.isOpen ? state : "none",
      waiting: own.length + own.halfOpen,
      heldSinceMs,
      nowMs,
    });
    if (step.starts) this.#start(nowMs);
    if (step.standby === "keep") {
      this.#standby.copyOptions(beside);
      return;
    }
    const isUnseen = step.ends === "expired" && !this.#standby.isOpen;
    const cause = yieldedTo ? yieldText(yieldedTo) : isUnseen ? UNSEEN : null;
    this.#replace(step, beside, this.#end(step.ends ?? null, cause, nowMs));
  }

  /** A bind has failed because of the standby since the last {@link step}. */
  get hasRefusedBind(): boolean {
    return this.#refused.isAny;
  }

  /** Closes the standby, which ends a hold: its connections migrate to the targets, or are reset. */
  release(cause: string): void {
    const isHolding = this.#group.standby.heldSinceMs !== null;
    this.#close(this.#end(isHolding ? "released" : null, cause, boottimeMs()));
  }

  /** Closes the standby as {@link release}, for as long as it cannot be looked after. */
  suspend(cause: string): void {
    this.#close(this.#end(null, cause, boottimeMs()));
  }

  /** As {@link GroupStandby.enter}. */
  enter(next: Group, standby: Listener | undefined): void {
    this.#standby.enter(next, standby);
  }

  /** Conditions that last until a person changes something, one sentence each. */
  get warnings(): string[] {
    const { differs, backlog } = this.#standby;
    const warnings: string[] = [];
    if (differs.length > 0) {
      warnings.push(
        `the standby differs from its listeners in ${differs.join(", ")}: the kernel refused to set that`,
      );
    }
    if (backlog !== null && backlog < this.#policy.max) {
      warnings.push(
        `the standby holds ${backlog} connections, not ${this.#policy.max}: raise net.core.somaxconn`,
      );
    }
    if (this.#refused.failure !== null) {
      warnings.push(
        `a server of another user, or without SO_REUSEPORT, cannot listen during a hold (${this.#refused.failure})`,
      );
    }
    return warnings;
  }

  [Symbol.dispose](): void {
    this.suspend("the sidecar ends");
  }

  /**
   * Returns whether a hold is under way, even if no step has noticed it yet.
   * @param listeners of the group, without the standby
   */
  isHolding(listeners: readonly Listener[]): boolean {
    if (this.#group.standby.heldSinceMs !== null) return true;
    return this.#standby.isOpen && (listeners.length === 0 || this.#standby.queueLength > 0);
  }

  /** Leaves the standby to the keeper: a successor goes on with the hold. */
  leave(): void {
    this.#refused[Symbol.dispose]();
    this.#standby.leave();
  }

  /** Goes on with the hold of a sidecar that is gone. */
  #takeOver(standby: Listener, plan: Plan): void {
    if (this.#standby.takeOver(standby, plan, this.#policy)) {
      this.#refused.watch(standby.key, standby.uid);
    }
  }

  #queues(queues: QueuesByCookie): Queues {
    return queues.get(this.#group.standby.cookie) ?? NO_QUEUES;
  }

  #start(nowMs: number): void {
    const { holdCounts } = this.#group;
    this.#group.setStandby({ ...this.#group.standby, heldSinceMs: nowMs });
    this.#group.setHoldCounts({ ...holdCounts, started: holdCounts.started + 1 });
    this.#told("started");
  }

  /** Records that a hold ends; null: none does. */
  #end(result: HoldResult | null, cause: string | null, nowMs: number): Ended {
    const pinned = this.#group.standby;
    const heldMs = nowMs - (pinned.heldSinceMs ?? nowMs);
    if (result !== null) {
      this.#group.setHoldCounts(addEnded(this.#group.holdCounts, result, heldMs));
      this.#group.setStandby({ ...pinned, heldSinceMs: null });
    }
    return { result, cause, heldMs };
  }

  /** Opens another standby, unless the step is to close it; then closes the one before. */
  #replace({ standby }: Step, beside: Beside, ended: Ended): void {
    const old = this.#standby.take();
    const owner = beside.listeners[0]?.uid ?? this.#group.record.uid;
    try {
      // Open first, so that the group is never without a standby.
      if (standby !== "close") this.#standby.open(owner, beside, this.#policy);
      if (standby !== "close") this.#refused.watch(this.#group.record.key, owner);
    } finally {
      if (!this.#standby.isOpen) this.#refused[Symbol.dispose]();
      this.#tell({ ...ended, connections: this.#standby.end(old) });
    }
  }

  #close({ cause, ...ended }: Ended): void {
    this.#refused[Symbol.dispose]();
    const why = this.#standby.isShutDown ? SHUT_DOWN : cause;
    const connections = this.#standby.end(this.#standby.take());
    this.#tell({ ...ended, cause: why, connections });
  }

  #tell(end: HoldEnd): void {
    if (isNews(end)) this.#told(end);
  }
}

/** The end of a standby whose connections were not counted yet. */
type Ended = Omit<HoldEnd, "connections">;

function yieldText({ pid, uid, reuseport }: RefusedBind): string {
  const why = reuseport ? `as uid ${uid}` : "without SO_REUSEPORT";
  return `process ${pid} binds to the port ${why}, which the standby made fail`;
}
