/** Chooses targets of new and of migrating connections from slots and policy. Pure. */
import { MAX_CLASSES } from "./abi.ts";
import { guardsPeers, type Policy, type Slot } from "./slot.ts";

/** Slots for migrating connections. */
export interface Candidates {
  /** Preferred slots, chosen by hash. */
  readonly best: readonly number[];
  /** Other slots, in the order in which they are tried. */
  readonly rest: readonly number[];
}

/** Targets side by side in {@link Targets.syn} whose listeners prefer one CPU. */
export interface CpuTargets {
  readonly cpu: number;
  /** Index of the first one. */
  readonly from: number;
  readonly count: number;
}

/** The slots that the program chooses from. */
export interface Targets {
  /** For new connections; empty: the kernel's hash, or the standby if there is one. */
  readonly syn: readonly number[];
  /** Those that get the new connections of a CPU (SO_INCOMING_CPU), as by the kernel's hash. */
  readonly byCpu: readonly CpuTargets[];
  /** Every listener is drained and there is no standby: new connections are refused. */
  readonly refuse: boolean;
  /** For migrating connections, by settings class of the source. */
  readonly classes: readonly Candidates[];
  /** For migrating connections without a compatible target: slots of any class. */
  readonly other: Candidates;
  /** Listening slots of any class that are not drained. */
  readonly count: number;
  /** Migrating connections go to listeners with equal socket options, or nowhere. */
  readonly strict: boolean;
}

const NO_CANDIDATES: Candidates = { best: [], rest: [] };

/** @param isComplete every listener has a slot */
export function chooseTargets(slots: readonly Slot[], given: Policy, isComplete = true): Targets {
  // Whatever the policy: another listener may admit peers that this one would not. One that has
  // closed counts, as its connections are still to migrate.
  const isGuarded = slots.some(({ optionsDigest }) => guardsPeers(optionsDigest));
  const policy: Policy = isGuarded ? { ...given, settings: "strict" } : given;
  const live = slots.filter(({ closedMs }) => closedMs === null).toSorted(byPreference);
  const undrained = live.filter(({ drained }) => !drained);
  const newest = undrained[0]?.generation;
  const routed = policy.route === "newest" ? undrained.filter((s) => s.generation === newest) : [];
  // Without an explicit choice the kernel's hash gives a drained listener, or a standby, its share.
  const explicit = policy.hold || undrained.length < live.length;
  // With one, a listener without a slot gets nothing, which is worse for all except a standby.
  const leavesToKernel = !isComplete && !policy.hold;
  const any = candidatesOf(live, policy);
  const chosen = policy.route === "kernel" && explicit ? undrained : routed;
  const syn = leavesToKernel ? [] : chosen.toSorted((a, b) => a.incomingCpu - b.incomingCpu);
  return {
    syn: syn.map(({ slot }) => slot),
    byCpu: cpuTargets(syn),
    refuse: undrained.length === 0 && live.length > 0 && !policy.hold && isComplete,
    // A drained listener still accepts: it is a destination if there is no other.
    classes:
      undrained.length === 0 || undrained.length === live.length
        ? candidatesByClass(live, any, policy)
        : candidatesByClass(undrained, candidatesOf(undrained, policy), policy),
    other: policy.settings === "strict" ? NO_CANDIDATES : any,
    count: undrained.length,
    strict: policy.settings === "strict",
  };
}

/** Sorts slots that are not drained first, then by generation, newest first. */
function byPreference(a: Slot, b: Slot): number {
  return Number(a.drained) - Number(b.drained) || b.generation - a.generation || a.slot - b.slot;
}

/** Returns the candidates of each class. @param all candidates of every class together */
function candidatesByClass(live: readonly Slot[], all: Candidates, policy: Policy): Candidates[] {
  const classes = new Array<Candidates>(MAX_CLASSES).fill(
    policy.settings === "ignore" ? all : NO_CANDIDATES,
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
    classes[number] = byClass.size === 1 ? all : candidatesOf(same, policy);
    // Class 0, an unknown source: compatible only if all listeners are of one class.
    if (byClass.size === 1) classes[0] = all;
  }
  return classes;
}

/** Returns slots as candidates; the policy prefers the newest generation, or any slot. */
function candidatesOf(slots: readonly Slot[], { migrate }: Policy): Candidates {
  const [first] = slots;
  const [best, rest]: [number[], number[]] = [[], []];
  for (const { slot, generation, drained } of slots) {
    const isBest =
      drained === first?.drained && (migrate === "any" || generation === first?.generation);
    (isBest ? best : rest).push(slot);
  }
  return { best, rest };
}

/** Returns the runs of slots with one CPU. @param slots sorted by CPU */
function cpuTargets(slots: readonly Slot[]): CpuTargets[] {
  const runs: { cpu: number; from: number; count: number }[] = [];
  for (const [from, { incomingCpu: cpu }] of slots.entries()) {
    const last = runs.at(-1);
    if (last?.cpu === cpu) last.count++;
    else if (cpu >= 0) runs.push({ cpu, from, count: 1 });
  }
  return runs;
}

/** `draining`: drained by command; `superseded`: a newer generation is chosen instead. */
export type Role = "target" | "draining" | "superseded" | "unknown";

/**
 * Returns a function that tells the role of a listening slot. The sets are made once, so that the
 * roles of n slots cost O(n).
 */
export function rolesOf(targets: Targets): (slot: Slot) => Role {
  const syn = new Set(targets.syn);
  const best = targets.classes.map((candidates) => new Set(candidates.best));
  return ({ slot, drained, class: number }) => {
    if (drained) return "draining";
    const isTarget = syn.size === 0 || syn.has(slot) || best[number]?.has(slot);
    return isTarget ? "target" : "superseded";
  };
}
