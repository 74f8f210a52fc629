/** What a group's maps take, by its slots and the host's CPUs: arithmetic over the ABI. Pure. */
import { LAYOUT, OUTCOMES } from "../../loader/core/abi.ts";
import { GROUP_MAPS, type GroupMap, groupShapes, MMAPABLE } from "../../loader/core/map_shapes.ts";

/** x86_64's, and most arm64 kernels'. */
export const PAGE = 4096;
const pages = (bytes: number) => Math.ceil(bytes / PAGE) * PAGE;

/**
 * Bytes of a map's entries, and of the pages around them where its memory can be mapped; each other
 * map has some 300 bytes of the kernel's own besides.
 */
export function mapBytes(map: GroupMap, slots: number, cpus: number): number {
  const { value, flags, entries } = groupShapes(slots, cpus)[map];
  const bytes = entries * Math.ceil(value / 8) * 8;
  return flags & MMAPABLE ? PAGE + pages(bytes) : bytes;
}

/** Bytes of the entries of all maps of a group. */
export function groupBytes(slots: number, cpus: number): number {
  const maps = Object.keys(GROUP_MAPS) as GroupMap[];
  return maps.reduce((sum, map) => sum + mapBytes(map, slots, cpus), 0);
}

/** Bytes that a scrape reads of the maps that grow with slots and CPUs, `used` being the slots ever used. */
export function scrapeBytes(used: number, cpus: number): number {
  const standby = 1;
  const counters = OUTCOMES.length + used + standby;
  const group = 1;
  const rows = group + used + standby;
  return cpus * counters * 8 + rows * LAYOUT.rm_migrations.size;
}
