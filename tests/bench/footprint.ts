/** The memory of a group's maps, computed from its slots and the CPUs of the host. Pure. */
import { LAYOUT, OUTCOMES } from "../../loader/core/abi.ts";
import { GROUP_MAPS, type GroupMap, groupShapes, MMAPABLE } from "../../loader/core/map_shapes.ts";

/** The page size of x86_64 and of most arm64 kernels. */
export const PAGE = 4096;
const pages = (bytes: number) => Math.ceil(bytes / PAGE) * PAGE;

/**
 * Returns the bytes of a map's entries, rounded up to pages if its memory can be mapped. The kernel
 * adds some 300 bytes to each other map.
 */
export function mapBytes(map: GroupMap, slots: number, cpus: number): number {
  const { value, flags, entries } = groupShapes(slots, cpus)[map];
  const bytes = entries * Math.ceil(value / 8) * 8;
  return flags & MMAPABLE ? PAGE + pages(bytes) : bytes;
}

/** Returns the bytes of all maps of a group. */
export function groupBytes(slots: number, cpus: number): number {
  const maps = Object.keys(GROUP_MAPS) as GroupMap[];
  return maps.reduce((sum, map) => sum + mapBytes(map, slots, cpus), 0);
}

/**
 * Returns the bytes a scrape reads from the maps that grow with CPUs; `used` is the number of slots
 * ever used.
 */
export function scrapeBytes(used: number, cpus: number): number {
  const standby = 1;
  const counters = OUTCOMES.length + used + standby;
  const group = 1;
  const rows = group + used + standby;
  const replaced = 1; // a block of counters, as each CPU has one
  return (cpus + replaced) * counters * 8 + rows * LAYOUT.rm_migrations.size;
}
