/** apply: makes a group what the plan says, in an order that is safe at every step. */
import { borrow } from "./borrow.ts";
import type { SlotRecord } from "./codec.ts";
import { AlreadyManagedError, hasCode } from "./errors.ts";
import type { Group } from "./group.ts";
import { endpoint, type Listener } from "./listener.ts";
import { makePlan, type Plan, type Seen, type Slot } from "./plan.ts";
import { readSettings, settingsDigest } from "./settings.ts";

/** What one pass over a group did. */
export interface Applied {
  readonly plan: Plan;
  readonly closed: readonly Slot[];
}

/**
 * One observe-plan-apply step of a group.
 * @param members the group's listeners now
 * @param sinceMs when the group was last looked at; a new listener opened after that
 * @param nowMs CLOCK_BOOTTIME
 * @throws AlreadyManagedError when a listener is in somebody else's map
 */
export function applyGroup(
  group: Group,
  members: readonly Listener[],
  sinceMs: number,
  nowMs: number,
): Applied {
  const records = new Map(group.slots().map((record) => [record.slot.slot, record]));
  const before = [...records.values()].map(({ slot }) => slot);
  const { record } = group;
  const seen = observeNew(members, before, sinceMs);
  const plan = makePlan(before, seen, record, record.slots, nowMs);

  // Identity first, so that the first decision of a listener finds its row and class.
  for (const cookie of plan.forgotten) group.removeSource(cookie);
  for (const slot of plan.added) {
    group.setSlot({ slot, base: group.row(slot.slot) });
    group.setSource(slot);
  }
  // Then the socket: the real map is compared, so whatever was missed is mended.
  const byCookie = new Map(members.map((member) => [member.cookie, member]));
  for (const slot of plan.slots) {
    const member = byCookie.get(slot.cookie);
    if (member && group.cookieIn(slot.slot) !== slot.cookie) place(group, slot, member);
  }
  // Then the targets, all at once.
  group.setPlan(plan.targets, record.migrate);
  return { plan, closed: recordChanges(group, plan, records) };
}

function observeNew(members: readonly Listener[], slots: readonly Slot[], sinceMs: number): Seen[] {
  const known = new Set(slots.map(({ cookie }) => cookie));
  const lastMs = Math.max(sinceMs, ...slots.map((s) => Math.max(s.openedMs, s.closedMs ?? 0)));
  return members.map((member) => {
    const { cookie, owners, key } = member;
    if (known.has(cookie)) return { cookie, openedMs: 0, settings: 0n };
    const settings = borrow(member, (fd) => settingsDigest(readSettings(fd, key.family))) ?? 0n;
    // A process cannot have opened it before it started; the oldest owner opened it.
    const startMs = Math.min(...owners.map((owner) => owner.startMs));
    return { cookie, openedMs: Math.max(startMs, lastMs), settings };
  });
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

/** Slots whose listener left, or came back, since they were recorded. */
function recordChanges(group: Group, plan: Plan, records: ReadonlyMap<number, SlotRecord>): Slot[] {
  const closed: Slot[] = [];
  for (const slot of plan.slots) {
    const was = records.get(slot.slot);
    if (!was || was.slot.cookie !== slot.cookie || was.slot.closedMs === slot.closedMs) continue;
    group.setSlot({ slot, base: was.base });
    if (slot.closedMs !== null) closed.push(slot);
  }
  return closed;
}
