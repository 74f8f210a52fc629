/**
 * What happened to a managed group since its last refresh that the sidecar did not do itself:
 * connections that migrated, and changes by commands.
 */
import type { Listener } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import type { Decision, SlotCounts } from "../group/counters.ts";
import type { Group } from "../group/group.ts";
import type { GroupRecord } from "../group/group_record.ts";

/** The part of a policy that a command can change. */
export type ChangeablePolicy = Pick<GroupRecord, "migrate" | "route" | "settings">;

/** A listener as the log names it; pid null: its owner was never seen. */
export interface Place {
  readonly pid: number | null;
  readonly generation: number;
}

/** Connections that were decided about, as their listener closed or had closed. */
export interface Moves {
  /** Connections of accept queues, and tries of handshakes, that went to a target or the standby. */
  readonly queued: number;
  readonly handshakes: number;
  /** Left to the kernel's hash. */
  readonly byKernel: number;
  readonly dropped: number;
  readonly from: readonly Place[];
  readonly into: readonly Place[];
  readonly fromStandby: boolean;
  readonly intoStandby: boolean;
}

export interface News {
  /** The policy before a command changed it; null: none did. */
  readonly policyBefore: ChangeablePolicy | null;
  /** Listeners that a command drained, and undrained. */
  readonly drained: readonly Place[];
  readonly undrained: readonly Place[];
  /** null: no connection migrated or was dropped. */
  readonly moves: Moves | null;
}

const NO_NEWS: News = { policyBefore: null, drained: [], undrained: [], moves: null };

/** After a listener has closed, its handshakes are decided when packets come, or timers fire. */
const LATE_LOOKS_MS = [2_000, 5_000, 10_000] as const;

/** The state of a group at its last refresh. */
interface Seen {
  readonly policy: ChangeablePolicy;
  /** Whether each listening socket is drained, by its cookie. */
  readonly drained: ReadonlyMap<bigint, boolean>;
  /** Decisions about existing connections, by stage, outcome and reason; none that is 0. */
  readonly decided: ReadonlyMap<string, Decision>;
  /** Counts of the slots and the standby; none without a migration. */
  readonly slots: ReadonlyMap<number, SlotCounts>;
}

export class GroupNews {
  #seen: Seen | null = null;
  /** The last owner of each slot's listener. */
  readonly #places = new Map<number, Place>();
  #lookMs: number[] = [];

  /** When to refresh the group for late handshakes, ms of CLOCK_BOOTTIME; Infinity: never. */
  get dueMs(): number {
    return this.#lookMs[0] ?? Number.POSITIVE_INFINITY;
  }

  /** The sidecar itself changes the policy: that is no news. */
  expect(policy: ChangeablePolicy): void {
    if (this.#seen) this.#seen = { ...this.#seen, policy };
  }

  /** Returns the news since the last call. */
  take(group: Group, { slots, changed }: Plan, members: readonly Listener[], nowMs: number): News {
    this.#lookMs = changed.some(({ closedMs }) => closedMs !== null)
      ? LATE_LOOKS_MS.map((afterMs) => nowMs + afterMs)
      : this.#lookMs.filter((lookMs) => lookMs > nowMs);
    const { migrate, route, settings } = group.record;
    const open = slots.filter(({ closedMs }) => closedMs === null);
    const now: Seen = {
      policy: { migrate, route, settings },
      drained: new Map(open.map(({ cookie, drained }) => [cookie, drained])),
      ...countsOf(group, slots.length),
    };
    const before = this.#seen;
    this.#seen = now;
    const left = new Map(this.#places);
    const pids = new Map(members.map(({ cookie, owners }) => [cookie, owners[0]?.pid ?? null]));
    for (const { slot, cookie, generation } of open) {
      this.#places.set(slot, { pid: pids.get(cookie) ?? null, generation });
    }
    if (before === null) return NO_NEWS;
    const became = (drained: boolean) =>
      open
        .filter((slot) => slot.drained === drained && before.drained.get(slot.cookie) === !drained)
        .flatMap(({ slot }) => this.#places.get(slot) ?? []);
    return {
      policyBefore: isSame(before.policy, now.policy) ? null : before.policy,
      drained: became(true),
      undrained: became(false),
      moves: movesBetween(before, now, group.standbySlot, { left, now: this.#places }),
    };
  }
}

function isSame(a: ChangeablePolicy, b: ChangeablePolicy): boolean {
  return a.migrate === b.migrate && a.route === b.route && a.settings === b.settings;
}

/** The places of the slots: before the listeners of now took them, and now. */
interface Places {
  readonly left: ReadonlyMap<number, Place>;
  readonly now: ReadonlyMap<number, Place>;
}

/** @param used number of slots that were ever used */
function countsOf(group: Group, used: number): Pick<Seen, "decided" | "slots"> {
  const counts = group.counts(used);
  const decisions = counts.decisions().filter(({ stage }) => stage !== "syn");
  const slots = new Map<number, SlotCounts>();
  for (const slot of [...Array(used).keys(), group.standbySlot]) {
    const found = counts.slotCounts(slot);
    if (found.out + found.into > 0) slots.set(slot, found);
  }
  return { decided: new Map(decisions.map((each) => [nameOf(each), each])), slots };
}

function movesBetween(before: Seen, now: Seen, standbySlot: number, places: Places): Moves | null {
  const sum = (wanted: (decision: Decision) => boolean) => {
    let total = 0;
    for (const [name, decision] of now.decided) {
      if (wanted(decision)) total += decision.count - (before.decided.get(name)?.count ?? 0);
    }
    return total;
  };
  if (sum(() => true) === 0) return null;
  const grown = (of: "out" | "into") =>
    [...now.slots].flatMap(([slot, counts]) =>
      counts[of] > (before.slots.get(slot)?.[of] ?? 0) ? [slot] : [],
    );
  const [out, into] = [grown("out"), grown("into")];
  return {
    queued: sum(({ stage, outcome }) => stage === "accept_queue" && outcome === "selected"),
    handshakes: sum(({ stage, outcome }) => stage !== "accept_queue" && outcome === "selected"),
    byKernel: sum(({ outcome }) => outcome === "kernel" || outcome === "fallback"),
    dropped: sum(({ outcome }) => outcome === "dropped"),
    from: out.flatMap((slot) => places.left.get(slot) ?? []),
    into: into.flatMap((slot) => places.now.get(slot) ?? []),
    fromStandby: out.includes(standbySlot),
    intoStandby: into.includes(standbySlot),
  };
}

const nameOf = ({ stage, outcome, reason }: Decision) => `${stage} ${outcome} ${reason}`;
