/** apply: makes a group what the plan says, in an order that is safe at every step. */

import type { Mode } from "../core/abi.ts";
import { endpoint, isSelectable, type Listener } from "../core/listener.ts";
import { makePlan, type Plan } from "../core/plan.ts";
import type { Slot } from "../core/slot.ts";
import { AlreadyManagedError, hasCode } from "../errors.ts";
import type { GroupRecord, SlotRecord } from "../group/codec.ts";
import { NO_ROW } from "../group/counts.ts";
import type { Group } from "../group/group.ts";
import { borrow } from "../net/borrow.ts";
import { migratesByItself } from "../net/netns.ts";
import type { OptionSchedule } from "./option_schedule.ts";

/**
 * One observe-plan-apply step of a group.
 * @param all the group's listeners now, the standby left out; those no program can select get no slot
 * @param readings when each listener's settings were read; kept from step to step by the caller
 * @param watched it was looked at before, by this process
 * @param nowMs CLOCK_BOOTTIME
 * @param reportMoves whether the program reports migrations from accept queues; as before unless given
 * @throws AlreadyManagedError when a listener is in somebody else's map
 */
export function applyGroup(
  group: Group,
  all: readonly Listener[],
  readings: OptionSchedule,
  watched: boolean,
  nowMs: number,
  reportMoves = group.reportsMoves,
): Plan {
  const members = all.filter(isSelectable);
  const records = new Map(group.slots().map((record) => [record.slot.slot, record]));
  const before = [...records.values()].map(({ slot }) => slot);
  const { record } = group;
  const known = new Set(before.map(({ cookie }) => cookie));
  const openedMs = openings(members, before, watched, nowMs);
  // Who waits to be a target does not wait for others to be read again: that is for the next step.
  const waits = members.some(({ cookie }) => !known.has(cookie));
  const seen = members.map((member, i) => ({
    cookie: member.cookie,
    openedMs: openedMs[i] ?? nowMs,
    optionsDigest:
      waits && known.has(member.cookie)
        ? null
        : readings.read(member, known.has(member.cookie), nowMs),
  }));
  const plan = makePlan(before, seen, record, record.slots, nowMs);

  // Identity first, so that the first decision of a listener finds its row and class. The slot's
  // record comes after its source: one that was cut short between them is new again next time.
  for (const cookie of plan.forgotten) group.removeSource(cookie);
  for (const slot of plan.added) {
    // Of one that nobody had before there is nothing to read, and its memory need not be mapped for it.
    const base = records.has(slot.slot) ? group.row(slot.slot) : NO_ROW;
    group.setSource(slot);
    group.setSlot({ slot, base });
  }
  for (const slot of plan.changed) change(group, slot, records.get(slot.slot));
  // Then the socket: the real map is compared, so whatever was missed is mended.
  const byCookie = new Map(members.map((member) => [member.cookie, member]));
  for (const slot of plan.slots) {
    const member = byCookie.get(slot.cookie);
    if (member && group.cookieIn(slot.slot) !== slot.cookie) place(group, slot, member);
  }
  // Then the targets, all at once.
  const standby = record.hold ? group.standbySlot : 0;
  group.setPlan(plan.targets, { mode: modeOf(record), standby, reportMoves });
  return plan;
}

/** What the program does with migrating connections; to observe is to do as the kernel would. */
function modeOf({ migrate, settings, key }: GroupRecord): Mode {
  if (migrate === "off") return "drop";
  if (migrate === "observe") return migratesByItself(key.netns) ? "pass" : "drop";
  return settings === "strict" ? "strict" : "select";
}

/**
 * When each member opened, if it is new. While we watch a bind event makes us look at once, so it
 * was just now. At the first look a process cannot have opened it before it started, nor before
 * what is recorded; the oldest owner opened it.
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

/** Records a slot whose listener is the same and yet not as it was. */
function change(group: Group, slot: Slot, was: SlotRecord | undefined): void {
  if (!was) return;
  // One that listens again starts from zero: its counts were folded into the closed ones.
  const again = was.slot.closedMs !== null && slot.closedMs === null;
  if (slot.class !== was.slot.class) group.setSource(slot);
  group.setSlot({ slot, base: again ? group.row(slot.slot) : was.base });
}

function place(group: Group, slot: Slot, member: Listener): void {
  borrow(member, (fd) => {
    try {
      group.setListener(slot.slot, fd);
    } catch (error) {
      if (hasCode(error, "EBUSY")) {
        throw new AlreadyManagedError(
          `a listener of ${endpoint(member.key)} (pid ${member.owners[0]?.pid}) is already managed by another BPF map (REUSEPORT_SOCKARRAY or sockmap): remove it there first`,
          { cause: error },
        );
      }
      // It stopped listening since it was observed; the next pass sees that.
      if (!hasCode(error, "EOPNOTSUPP", "EINVAL")) throw error;
    }
  });
}
