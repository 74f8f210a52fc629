/** Puts a plan in force for a group, in an order that is safe to be interrupted at every step. */

import type { Mode } from "../core/abi.ts";
import { isSelectable, type Listener } from "../core/listener.ts";
import { makePlan, type Plan } from "../core/plan.ts";
import type { Slot } from "../core/slot.ts";
import type { Targets } from "../core/targets.ts";
import { NO_COUNTS } from "../group/counters.ts";
import type { Group } from "../group/group.ts";
import type { GroupRecord } from "../group/group_record.ts";
import type { SlotRecord } from "../group/slots.ts";
import { placeListener } from "../hold/members.ts";
import { migratesByItself } from "../net/netns.ts";
import { boottimeMs } from "../sys/libc.ts";
import { OptionSchedule } from "./option_schedule.ts";

/** What the caller keeps from step to step; each has the default of a first and only step. */
export interface ApplyOptions {
  /** When each listener's socket options are due to be read. */
  readonly schedule?: OptionSchedule;
  /** This process has applied the group before, so a new listener has just opened. */
  readonly watched?: boolean;
  /** CLOCK_BOOTTIME */
  readonly nowMs?: number;
  /** The program reports migrations out of accept queues; default: as before. */
  readonly reportMoves?: boolean;
}

/**
 * Plans and applies one step of a group.
 * @param listeners of the group, without the standby; those no program can select get no slot
 * @throws AlreadyManagedError if another BPF map contains one of the listeners
 */
export function applyGroup(
  group: Group,
  listeners: readonly Listener[],
  options: ApplyOptions = {},
): Plan {
  const { schedule = new OptionSchedule(), watched = false, nowMs = boottimeMs() } = options;
  const members = listeners.filter(isSelectable);
  const records = new Map(group.slots().map((record) => [record.slot.slot, record]));
  const before = [...records.values()].map(({ slot }) => slot);
  const { record } = group;
  const known = new Set(before.map(({ cookie }) => cookie));
  const openedMs = openings(members, before, watched, nowMs);
  // A newcomer becomes a target first; the options of known listeners are read in the next step.
  const hasNewcomers = members.some(({ cookie }) => !known.has(cookie));
  const seen = members.map((member, i) => ({
    cookie: member.cookie,
    openedMs: openedMs[i] ?? nowMs,
    incomingCpu: member.incomingCpu,
    optionsDigest:
      hasNewcomers && known.has(member.cookie)
        ? null
        : schedule.read(member, known.has(member.cookie), nowMs),
  }));
  schedule.keep(members);
  const plan = makePlan(before, seen, record, record.slots, nowMs);

  // Sources first, so that the first decision about a listener finds its row and class. The slot's
  // record comes after its source: if interrupted between them, the listener is new again next
  // time.
  for (const cookie of plan.forgotten) group.removeSource(cookie);
  for (const slot of plan.added) {
    // A slot that was never used has counted nothing; reading it would only map its memory.
    const base = records.has(slot.slot) ? group.slotCounts(slot.slot) : NO_COUNTS;
    group.setSource(slot);
    group.setSlot({ slot, base });
  }
  for (const slot of plan.changed) change(group, slot, records.get(slot.slot));
  // Then the sockets. The comparison is with the sockmap itself, which repairs what was missed
  // before.
  const byCookie = new Map(members.map((member) => [member.cookie, member]));
  for (const slot of plan.slots) {
    const member = byCookie.get(slot.cookie);
    if (member && group.cookieIn(slot.slot) !== slot.cookie)
      placeListener(group, slot.slot, member);
  }
  // Then the targets, all at once.
  const standby = record.hold ? group.standbySlot : 0;
  const { reportMoves = group.reportsMoves } = options;
  group.setPlan(plan.targets, { mode: modeOf(record, plan.targets), standby, reportMoves });
  return plan;
}

/**
 * Returns the program's mode for migrating connections; `observe` does what the kernel would do.
 */
function modeOf({ migrate, key }: GroupRecord, { strict }: Targets): Mode {
  if (migrate === "off") return "drop";
  if (migrate === "observe") return migratesByItself(key.netns) ? "pass" : "drop";
  return strict ? "strict" : "select";
}

/**
 * Returns when each new member opened. In a watched group that is now: a bind event led to this
 * step. Otherwise it is not before its oldest owner started, nor before anything that is recorded.
 */
function openings(
  members: readonly Listener[],
  slots: readonly Slot[],
  watched: boolean,
  nowMs: number,
): number[] {
  const recorded = slots.reduce((last, s) => Math.max(last, s.openedMs, s.closedMs ?? 0), 0);
  return members.map(({ owners }) =>
    watched ? nowMs : Math.max(recorded, Math.min(...owners.map((owner) => owner.startMs))),
  );
}

/** Records a slot whose listener closed, listens again, or has other options. */
function change(group: Group, slot: Slot, was: SlotRecord | undefined): void {
  if (!was) return;
  // One that listens again starts from zero: its counts are part of those of closed listeners.
  const again = was.slot.closedMs !== null && slot.closedMs === null;
  if (slot.class !== was.slot.class) group.setSource(slot);
  group.setSlot({ slot, base: again ? group.slotCounts(slot.slot) : was.base });
}
