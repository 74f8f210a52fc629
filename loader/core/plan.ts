/**
 * plan: what is listening and what was decided before -> slots, generations,
 * classes and targets. Pure: no kernel, no clock. All policy is here.
 */
import { MAX_SLOTS } from "./abi.ts";
import { Classes } from "./classes.ts";
import { Generations } from "./generations.ts";
import type { Policy, Seen, Slot } from "./slot.ts";
import { chooseTargets, type Targets } from "./targets.ts";

export interface Plan {
  /** Every slot ever used, by number. */
  readonly slots: readonly Slot[];
  /** Slots that got a new listener in this plan. */
  readonly added: readonly Slot[];
  /** Slots whose listener left, came back, or changed its socket options. */
  readonly changed: readonly Slot[];
  /** Cookies whose slot was given to another listener. */
  readonly forgotten: readonly bigint[];
  /** Listeners without a slot, which only the kernel's hash reaches. */
  readonly unplaced: readonly bigint[];
  readonly targets: Targets;
}

/** Returns the number of slots for a new group: room for several generations. */
export function capacityFor(listeners: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(1, listeners * 8)));
  return Math.min(Math.max(wanted, 64), MAX_SLOTS);
}

/**
 * Returns the number of slots for a group that has `slots`: the same, or room for two generations
 * if it has more listeners than that. At the ABI's limit it can have more listeners than slots.
 */
export function grownCapacity(slots: number, listeners: number): number {
  if (listeners <= slots) return slots;
  return Math.min(2 ** Math.ceil(Math.log2(2 * listeners)), MAX_SLOTS);
}

/**
 * Makes the next plan from the previous slots and the listeners `seen` now.
 * @param nowMs CLOCK_BOOTTIME
 */
export function makePlan(
  previous: readonly Slot[],
  seen: readonly Seen[],
  policy: Policy,
  capacity: number,
  nowMs: number,
): Plan {
  const listening = new Map(seen.map((one) => [one.cookie, one]));
  if (isSettled(previous, listening)) {
    const none = { added: [], changed: [], forgotten: [], unplaced: [] };
    return { slots: previous, ...none, targets: chooseTargets(previous, policy) };
  }
  const slots = new Map(previous.map((s) => [s.slot, leaveOrStay(s, listening, nowMs)]));
  const classes = new Classes(slots.values());
  for (const slot of slots.values()) {
    const one = listening.get(slot.cookie);
    // A server can set options after listen(), or at a reload.
    if (!one || hasSameOptions(slot, one)) continue;
    const { incomingCpu } = one;
    const optionsDigest = one.optionsDigest || slot.optionsDigest;
    classes.remove(slot);
    const number = optionsDigest === slot.optionsDigest ? slot.class : classes.of(optionsDigest);
    const changed = { ...slot, optionsDigest, class: number, incomingCpu };
    classes.add(changed);
    slots.set(slot.slot, changed);
  }
  // A socket that is shut down and listens again keeps its cookie and its slot.
  const known = new Set([...slots.values()].map(({ cookie }) => cookie));
  const newcomers = seen
    .filter(({ cookie }) => !known.has(cookie))
    .toSorted((a, b) => a.openedMs - b.openedMs || Number(a.cookie - b.cookie));

  const generations = new Generations([...slots.values()]);
  const free = freeSlots(slots, capacity, newcomers.length);
  const added: Slot[] = [];
  const forgotten: bigint[] = [];
  for (const [i, { cookie, openedMs, optionsDigest, incomingCpu }] of newcomers
    .slice(0, free.length)
    .entries()) {
    const slot = free[i] ?? 0;
    const entry: Slot = {
      slot,
      cookie,
      openedMs,
      closedMs: null,
      optionsDigest: optionsDigest ?? 0n,
      generation: generations.next(slots.values(), openedMs, newcomers.length - i),
      class: classes.of(optionsDigest ?? 0n),
      incomingCpu,
      drained: false,
    };
    const before = slots.get(slot);
    if (before) {
      forgotten.push(before.cookie);
      classes.remove(before);
    }
    classes.add(entry);
    slots.set(slot, entry);
    added.push(entry);
  }
  const unplaced = newcomers.slice(free.length).map(({ cookie }) => cookie);

  const next = [...slots.values()].toSorted((a, b) => a.slot - b.slot);
  const unchanged = new Set([...previous, ...added]);
  const changed = next.filter((slot) => !unchanged.has(slot));
  const targets = chooseTargets(next, policy, unplaced.length === 0);
  return { slots: next, added, changed, forgotten, unplaced, targets };
}

/** Returns whether no listener came, left or changed its options, which is nearly always true. */
function isSettled(slots: readonly Slot[], listening: ReadonlyMap<bigint, Seen>): boolean {
  let known = 0;
  for (const slot of slots) {
    const one = listening.get(slot.cookie);
    if ((one === undefined) === (slot.closedMs === null)) return false;
    if (one && !hasSameOptions(slot, one)) return false;
    if (one) known++;
  }
  return known === listening.size;
}

/** Options that were not read, or could not be, are those from before. */
function hasSameOptions(slot: Slot, { optionsDigest, incomingCpu }: Seen): boolean {
  if (incomingCpu !== slot.incomingCpu) return false;
  return !optionsDigest || optionsDigest === slot.optionsDigest;
}

/** Returns the slots, with closing times for listeners that are not in `listening`. */
export function slotsNow(slots: readonly Slot[], listening: Listening, nowMs: number): Slot[] {
  return slots.map((slot) => leaveOrStay(slot, listening, nowMs));
}

/** Cookies of listeners. */
type Listening = Pick<ReadonlySet<bigint>, "has">;

function leaveOrStay(slot: Slot, listening: Listening, nowMs: number): Slot {
  if (listening.has(slot.cookie))
    return slot.closedMs === null ? slot : { ...slot, closedMs: null, drained: false };
  return slot.closedMs === null ? { ...slot, closedMs: nowMs } : slot;
}

/**
 * Returns up to `wanted` free slots: unused ones first, then those whose listener closed first, as
 * late decisions may still name it.
 */
function freeSlots(slots: ReadonlyMap<number, Slot>, capacity: number, wanted: number): number[] {
  const free: number[] = [];
  if (wanted === 0) return free;
  const unused = Math.max(0, capacity - slots.size);
  for (let slot = 0; slot < capacity && free.length < Math.min(unused, wanted); slot++) {
    if (!slots.has(slot)) free.push(slot);
  }
  const closed = [...slots.values()].filter(({ closedMs }) => closedMs !== null);
  const taken = closed.toSorted((a, b) => (a.closedMs ?? 0) - (b.closedMs ?? 0));
  return [...free, ...taken.slice(0, wanted - free.length).map(({ slot }) => slot)];
}
