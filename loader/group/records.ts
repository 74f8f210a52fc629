/**
 * The records of a group: its maps that no program reads. Their layout is append-only, so each
 * version can read what any other one has pinned (docs/UPGRADE.md).
 */
import { basename, join } from "node:path";
import { BpfMap } from "../bpf/map.ts";
import { differ, obtainIfAny } from "../bpf/pin.ts";
import { LAYOUT, MAX_SLOTS } from "../core/abi.ts";
import { groupName } from "../core/listener.ts";
import { MAP_TYPE } from "../core/map_shapes.ts";
import { fitted } from "../core/struct.ts";
import { Owned } from "../owned.ts";
import { decodeGroup, type GroupRecord } from "./group_record.ts";
import {
  decodeHoldCounts,
  decodeStandby,
  type HoldCounts,
  type StandbyRecord,
} from "./hold_record.ts";
import { decodeSlot, type SlotRecord } from "./slots.ts";

export interface GroupRecords {
  readonly record: GroupRecord;
  readonly standby: StandbyRecord;
  readonly holds: HoldCounts;
  readonly slots: readonly SlotRecord[];
}

const SHAPE = { type: MAP_TYPE.array, key: 4 };

/**
 * Reads the records pinned in a group's directory, by any version. Returns null if they are not
 * there, or are those of another group.
 */
export function readRecords(directory: string): GroupRecords | null {
  const group = readEntries(directory, "group", LAYOUT.rm_group.size, 1);
  if (group === null) return null;
  const record = decodeGroup(group);
  if (groupName(record.key) !== basename(directory)) return null;
  const slots = readEntries(directory, "slots", LAYOUT.rm_slot.size, MAX_SLOTS) ?? Buffer.alloc(0);
  return {
    record,
    standby: decodeStandby(readEntries(directory, "standby", LAYOUT.rm_standby.size, 1)),
    holds: decodeHoldCounts(readEntries(directory, "hold_counts", LAYOUT.rm_hold_counts.size, 1)),
    slots: Array.from({ length: slots.length / LAYOUT.rm_slot.size }, (_, number) =>
      decodeSlot(slots, number),
    ).filter((slot) => slot !== null),
  };
}

/** Returns the first entries of an array, each with `size` bytes; null if there is no such array. */
function readEntries(directory: string, pin: string, size: number, most: number): Buffer | null {
  using own = new Owned();
  const fd = obtainIfAny(join(directory, pin));
  if (fd === null) return null;
  const map = own.use(new BpfMap(fd));
  if (differ(pin, SHAPE, map.shape).length > 0) return null;
  const { value, entries } = map.shape;
  const count = Math.min(entries, most);
  const values = map.read(0, count);
  const each = Array.from({ length: count }, (_, i) =>
    fitted(values.subarray(i * value, (i + 1) * value), size),
  );
  return Buffer.concat(each);
}
