/**
 * plan: what is listening and what was decided before -> slots, generations,
 * classes and targets. Pure: no kernel, no clock. All policy is here.
 */
import { MAX_CLASSES, MAX_SLOTS, type Migrate, type Route, type SettingsPolicy } from "./abi.ts";
import { chooseTargets, type Targets } from "./targets.ts";

/** Listeners opened no further apart than this belong to one start of a service. */
export const START_GAP_MS = 1_000;
/** A listener that opens this soon after one of the newest generation left takes its place. */
export const RESPAWN_MS = 10_000;

/** What one slot holds, or held until its listener closed. Times: ms of CLOCK_BOOTTIME. */
export interface Slot {
  readonly slot: number;
  readonly cookie: bigint;
  readonly openedMs: number;
  /** null while it listens. */
  readonly closedMs: number | null;
  /** Digest of its settings; 0n: could not be read. */
  readonly settings: bigint;
  readonly generation: number;
  /** Settings class, from 1; 0: not known. */
  readonly class: number;
  /** No target, on purpose. */
  readonly drained: boolean;
}

/** A listener as observed now. */
export interface Seen {
  readonly cookie: bigint;
  /** Matters for new ones only. */
  readonly openedMs: number;
  /** Digest of its settings; 0n: could not be read; null: not read this time, as they were. */
  readonly settings: bigint | null;
}

/** How long, and how many connections, a standby holds when no other listener is left. */
export interface HoldPolicy {
  readonly timeMs: number;
  readonly max: number;
}

export interface Policy {
  readonly migrate: Migrate;
  readonly route: Route;
  /** Where no target has the settings of the source; `prefer` unless given. */
  readonly settings?: SettingsPolicy;
  /** With a standby in the group: new connections are always given to a target explicitly. */
  readonly hold?: HoldPolicy | null;
}

export interface Plan {
  /** Every slot ever used, by number. */
  readonly slots: readonly Slot[];
  /** Slots that got a new listener in this plan. */
  readonly added: readonly Slot[];
  /** Slots whose listener left, came back, or has other settings now. */
  readonly changed: readonly Slot[];
  /** Cookies whose slot was given to another listener. */
  readonly forgotten: readonly bigint[];
  /** Listeners for which there is no slot: the kernel's hash covers them. */
  readonly waiting: readonly bigint[];
  readonly targets: Targets;
}

/** Slots a group gets: room for several generations of what it has now. */
export function capacityFor(listeners: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(1, listeners * 8)));
  return Math.min(Math.max(wanted, 64), MAX_SLOTS);
}

/** One step: `previous` slots, what is `seen` listening now, and the clock. */
export function makePlan(
  previous: readonly Slot[],
  seen: readonly Seen[],
  policy: Policy,
  capacity: number,
  nowMs: number,
): Plan {
  const listening = new Map(seen.map((one) => [one.cookie, one]));
  const slots = new Map(previous.map((s) => [s.slot, leaveOrStay(s, listening, nowMs)]));
  for (const slot of slots.values()) {
    const settings = listening.get(slot.cookie)?.settings;
    // A server may set options after listen(), or when it reads its configuration again.
    if (!settings || settings === slot.settings) continue;
    const others = [...slots.values()].filter((other) => other !== slot);
    slots.set(slot.slot, { ...slot, settings, class: classOf(settings, others) });
  }
  // A socket that was shut down and listens again keeps its cookie, and so its slot.
  const known = new Set([...slots.values()].map(({ cookie }) => cookie));
  const newcomers = seen
    .filter(({ cookie }) => !known.has(cookie))
    .toSorted((a, b) => a.openedMs - b.openedMs || Number(a.cookie - b.cookie));

  const added: Slot[] = [];
  const forgotten: bigint[] = [];
  const waiting: bigint[] = [];
  for (const [i, newcomer] of newcomers.entries()) {
    const slot = freeSlot(slots, capacity);
    if (slot === null) {
      waiting.push(newcomer.cookie);
      continue;
    }
    const before = slots.get(slot);
    const all = [...slots.values()];
    const entry: Slot = {
      slot,
      cookie: newcomer.cookie,
      openedMs: newcomer.openedMs,
      closedMs: null,
      settings: newcomer.settings ?? 0n,
      generation: generationOf(newcomer.openedMs, newcomers.length - i, all),
      class: classOf(newcomer.settings ?? 0n, all),
      drained: false,
    };
    if (before) forgotten.push(before.cookie);
    slots.set(slot, entry);
    added.push(entry);
  }

  const next = [...slots.values()].toSorted((a, b) => a.slot - b.slot);
  const unchanged = new Set([...previous, ...added]);
  const changed = next.filter((slot) => !unchanged.has(slot));
  return { slots: next, added, changed, forgotten, waiting, targets: chooseTargets(next, policy) };
}

function leaveOrStay(slot: Slot, listening: ReadonlyMap<bigint, Seen>, nowMs: number): Slot {
  if (listening.has(slot.cookie))
    return slot.closedMs === null ? slot : { ...slot, closedMs: null, drained: false };
  return slot.closedMs === null ? { ...slot, closedMs: nowMs } : slot;
}

/** A slot never used, else that of the listener which closed first: late decisions still find it. */
function freeSlot(slots: ReadonlyMap<number, Slot>, capacity: number): number | null {
  for (let slot = 0; slot < capacity && slots.size < capacity; slot++) {
    if (!slots.has(slot)) return slot;
  }
  let oldest: Slot | null = null;
  for (const slot of slots.values()) {
    if (slot.closedMs === null) continue;
    if (oldest === null || slot.closedMs < (oldest.closedMs ?? 0)) oldest = slot;
  }
  return oldest?.slot ?? null;
}

/**
 * The generation of a listener that opened at `openedMs`, the first of `arriving` seen together:
 * - they take the places of as many of the newest generation that left shortly before (respawned
 *   workers), if others of the group live on;
 * - it joins the newest generation when that is still starting: its last listener opened
 *   at most START_GAP_MS before, and none of the group has left since;
 * - else a new start of the service begins: a new generation.
 */
export function generationOf(openedMs: number, arriving: number, slots: readonly Slot[]): number {
  if (slots.length === 0) return 1;
  const newest = Math.max(...slots.map(({ generation }) => generation));
  const members = slots.filter(({ generation }) => generation === newest);
  const others = slots.some(({ closedMs }) => closedMs === null);
  if (others && vacancies(openedMs, members) >= arriving) return newest;

  const lastOpened = Math.max(...members.map((m) => m.openedMs));
  const someoneLeft = slots.some(
    ({ closedMs }) => closedMs !== null && closedMs > lastOpened && closedMs <= openedMs,
  );
  return !someoneLeft && openedMs - lastOpened <= START_GAP_MS ? newest : newest + 1;
}

/** Members that left less than RESPAWN_MS before and were not replaced yet. */
function vacancies(openedMs: number, members: readonly Slot[]): number {
  const left = members.flatMap(({ closedMs }) =>
    closedMs !== null && closedMs <= openedMs && openedMs < closedMs + RESPAWN_MS ? [closedMs] : [],
  );
  const since = Math.min(...left);
  return left.length - members.filter((m) => m.closedMs === null && m.openedMs >= since).length;
}

/** Equal settings share a class; classes keep their number as long as a slot holds them. */
function classOf(settings: bigint, slots: readonly Slot[]): number {
  if (settings === 0n) return 0;
  const equal = slots.find((s) => s.settings === settings && s.class !== 0);
  if (equal) return equal.class;
  const used = new Set(slots.map((s) => s.class));
  for (let number = 1; number < MAX_CLASSES; number++) if (!used.has(number)) return number;
  return 0;
}
