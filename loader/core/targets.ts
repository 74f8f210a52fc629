/** Who may be chosen: slots and policy -> targets of new and of migrating connections. Pure. */
import { MAX_CLASSES } from "./abi.ts";
import type { Policy, Slot } from "./slot.ts";

/** Slots for migrating connections. */
export interface Candidates {
  /** Chosen among by hash. */
  readonly best: readonly number[];
  /** The others, in the order to try them. */
  readonly rest: readonly number[];
}

/** Slots to choose among, as the program wants them. */
export interface Targets {
  /** New connections; empty: the kernel's hash, or the standby where there is one. */
  readonly syn: readonly number[];
  /** Every listener is drained and there is no standby: new connections are refused. */
  readonly refuse: boolean;
  /** By settings class. */
  readonly classes: readonly Candidates[];
  /** Of any class, when no compatible one is to be had. */
  readonly other: Candidates;
  /** Listening slots of any class that are not drained. */
  readonly count: number;
}

const NOBODY: Candidates = { best: [], rest: [] };

export function chooseTargets(slots: readonly Slot[], policy: Policy): Targets {
  const live = slots.filter(({ closedMs }) => closedMs === null).toSorted(byPreference);
  const able = live.filter(({ drained }) => !drained);
  const newest = able[0]?.generation;
  const routed = policy.route === "newest" ? able.filter((s) => s.generation === newest) : [];
  // Without an explicit choice the kernel's hash gives a drained listener, or a standby, its share.
  const explicit = policy.hold || able.length < live.length;
  const any = runOf(live, policy);
  return {
    syn: numbers(policy.route === "kernel" && explicit ? able : routed),
    refuse: able.length === 0 && live.length > 0 && !policy.hold,
    // A drained listener is a destination only when there is no other: it still accepts.
    classes:
      able.length === 0 || able.length === live.length
        ? runs(live, any, policy)
        : runs(able, runOf(able, policy), policy),
    other: policy.settings === "strict" ? NOBODY : any,
    count: able.length,
  };
}

/** Those that are not drained first, then the newest generation. */
function byPreference(a: Slot, b: Slot): number {
  return Number(a.drained) - Number(b.drained) || b.generation - a.generation || a.slot - b.slot;
}

/** Each class's run; `all` is that of all of these. */
function runs(live: readonly Slot[], all: Candidates, policy: Policy): Candidates[] {
  const classes = new Array<Candidates>(MAX_CLASSES).fill(
    policy.settings === "ignore" ? all : NOBODY,
  );
  if (policy.settings === "ignore") return classes;
  const byClass = new Map<number, Slot[]>();
  for (const slot of live) {
    const same = byClass.get(slot.class);
    if (same) same.push(slot);
    else byClass.set(slot.class, [slot]);
  }
  for (const [number, same] of byClass) {
    if (number === 0) continue;
    classes[number] = byClass.size === 1 ? all : runOf(same, policy);
    // A source never seen alive: its settings are not known, unless all there are are equal.
    if (byClass.size === 1) classes[0] = all;
  }
  return classes;
}

/** The best of these first, by policy: its newest generation, or any that is not drained. */
function runOf(slots: readonly Slot[], { migrate }: Policy): Candidates {
  const [first] = slots;
  const [best, rest]: [number[], number[]] = [[], []];
  for (const { slot, generation, drained } of slots) {
    const isBest =
      drained === first?.drained && (migrate === "any" || generation === first?.generation);
    (isBest ? best : rest).push(slot);
  }
  return { best, rest };
}

const numbers = (slots: readonly Slot[]): number[] => slots.map(({ slot }) => slot);

/** `draining`: drained by command; `superseded`: a newer generation is chosen instead. */
export type Role = "target" | "draining" | "superseded" | "unknown";

/** Whether a listening slot may be chosen now, for new or for migrating connections. */
export function roleOf(slot: Slot, targets: Targets): Role {
  if (slot.drained) return "draining";
  const best = targets.classes[slot.class]?.best ?? [];
  const listed = targets.syn.length === 0 || has(targets.syn, slot.slot) || has(best, slot.slot);
  return listed ? "target" : "superseded";
}

/** Lists of targets as sets: asked of every slot of a group, a list would be walked as often as it is long. */
const SETS = new WeakMap<readonly number[], ReadonlySet<number>>();

function has(list: readonly number[], slot: number): boolean {
  const set = SETS.get(list) ?? new Set(list);
  SETS.set(list, set);
  return set.has(slot);
}
