/** What a group's maps take, by its slots and the host's CPUs: arithmetic over the ABI. Pure. */
import { GROUP_MAPS, type GroupMap, groupEntries, MAP_TYPE } from "../../loader/abi.ts";

const POINTER = 8;

function entriesOf(map: GroupMap, slots: number): number {
  const shape = GROUP_MAPS[map];
  const sized: Partial<Record<GroupMap, number>> = groupEntries(slots);
  return sized[map] ?? ("entries" in shape ? shape.entries : 0);
}

/** Bytes of one entry, on all CPUs together. */
function entryBytes(map: GroupMap, cpus: number): number {
  const { type, value } = GROUP_MAPS[map];
  const rounded = Math.ceil(value / 8) * 8;
  return type === MAP_TYPE.percpu_array ? POINTER + rounded * cpus : rounded;
}

/** Bytes of a map's entries; each map has some 300 bytes of the kernel's own besides. */
export function mapBytes(map: GroupMap, slots: number, cpus: number): number {
  return entriesOf(map, slots) * entryBytes(map, cpus);
}

/** Bytes of the entries of all maps of a group. */
export function groupBytes(slots: number, cpus: number): number {
  const maps = Object.keys(GROUP_MAPS) as GroupMap[];
  return maps.reduce((sum, map) => sum + mapBytes(map, slots, cpus), 0);
}

/** Bytes that a scrape copies out of the maps that grow with slots and CPUs. */
export function scrapeBytes(slots: number, cpus: number): number {
  const { counters, migrations, slots: records } = groupEntries(slots);
  return (
    counters * GROUP_MAPS.counters.value * cpus +
    migrations * GROUP_MAPS.migrations.value +
    records * GROUP_MAPS.slots.value
  );
}
