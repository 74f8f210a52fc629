/** Shapes of the pinned maps, by a group's slots and the host's CPUs. Pure. */
import { CANDIDATE_LINES, LAYOUT, LINE_CPUS, LINE_SLOTS, MAX_SLOTS, OUTCOMES } from "./abi.ts";

/** The properties of a map that are checked before its memory is used. Sizes in bytes. */
export interface MapShape {
  readonly type: number;
  readonly key: number;
  readonly value?: number;
  readonly entries?: number;
  readonly flags?: number;
}

/** Members of bpf_map_type (uapi/linux/bpf.h) in use. */
export const MAP_TYPE = {
  hash: 1,
  array: 2,
  array_of_maps: 12,
  sockmap: 15,
  ringbuf: 27,
} as const;

/** BPF_F_MMAPABLE of uapi/linux/bpf.h: user space may map its memory. */
export const MMAPABLE = 1 << 10;
/**
 * BPF_F_RDONLY_PROG of uapi/linux/bpf.h: read-only for programs, so that the verifier knows its
 * content.
 */
export const RDONLY_PROG = 1 << 7;

/**
 * The pinned maps of select.bpf.o, without sizes that depend on the group ({@link groupShapes}).
 */
export const GROUP_MAPS = {
  listeners: { type: MAP_TYPE.sockmap, key: 4, value: 8 },
  sources: { type: MAP_TYPE.array, key: 4, value: 8 },
  plans: { type: MAP_TYPE.array, key: 4, value: LAYOUT.rm_plan_line.size },
  control: { type: MAP_TYPE.array, key: 4, entries: 1, flags: MMAPABLE },
  move_report: { type: MAP_TYPE.array, key: 4, value: LAYOUT.rm_move_report.size, entries: 1 },
  move_events: { type: MAP_TYPE.array_of_maps, key: 4, value: 4, entries: 1 },
  migrations: { type: MAP_TYPE.array, key: 4, value: LAYOUT.rm_migrations.size, flags: MMAPABLE },
  slots: { type: MAP_TYPE.array, key: 4, value: LAYOUT.rm_slot.size },
  group: { type: MAP_TYPE.array, key: 4, value: LAYOUT.rm_group.size, entries: 1 },
  standby: { type: MAP_TYPE.array, key: 4, value: LAYOUT.rm_standby.size, entries: 1 },
  hold_counts: { type: MAP_TYPE.array, key: 4, value: LAYOUT.rm_hold_counts.size, entries: 1 },
} as const satisfies Record<string, MapShape>;
export type GroupMap = keyof typeof GROUP_MAPS;

/** Entries of `listeners` beyond the slots: for the standby, and for a readiness probe. */
const EXTRA_ENTRIES = 2;

/** Returns whether a group can have this many slots. */
export function isCapacity(slots: number): boolean {
  return slots >= LINE_SLOTS && slots <= MAX_SLOTS && Number.isInteger(Math.log2(slots));
}

/** Returns the line of a plan at which the targets by CPU begin. */
export function cpuLine(slots: number): number {
  return CANDIDATE_LINES + (3 * slots) / LINE_SLOTS;
}

/** Returns the number of lines in one of a group's two plans. */
export function planLines(slots: number, cpus: number): number {
  return cpuLine(slots) + Math.ceil(cpus / LINE_CPUS);
}

/** Counters per cache line, which only one CPU writes. */
const LINE_COUNTERS = 8;

/**
 * Returns the number of counters per CPU: outcomes, slots, the standby and, at the end, the
 * sidecar's own connections; in whole cache lines.
 */
export function cpuCounters(slots: number): number {
  return Math.ceil((OUTCOMES.length + slots + 2) / LINE_COUNTERS) * LINE_COUNTERS;
}

/**
 * Returns the shapes of a group's maps.
 * @param slots a power of two
 * @param cpus upper bound of CPU numbers
 */
export function groupShapes(slots: number, cpus: number): Record<GroupMap, Required<MapShape>> {
  const { size } = LAYOUT.rm_control;
  const sizes: Partial<Record<GroupMap, Partial<MapShape>>> = {
    listeners: { entries: slots + EXTRA_ENTRIES },
    // At most a quarter full, so that a cookie finds a free entry among its SOURCE_TRIES.
    sources: { entries: 4 * slots },
    plans: { entries: 2 * planLines(slots, cpus) },
    // One block for each CPU, and one for the programs that this one has replaced.
    control: { value: size + (cpus + 1) * cpuCounters(slots) * 8 },
    migrations: { entries: slots + 2 }, // one row for unknown sources, one for the standby
    slots: { entries: slots },
  };
  const maps = Object.entries(GROUP_MAPS).map(([map, fixed]) => {
    const own = sizes[map as GroupMap];
    return [map, { value: 0, entries: 0, flags: 0, ...fixed, ...own }] as const;
  });
  return Object.fromEntries(maps) as Record<GroupMap, Required<MapShape>>;
}

/** The pinned maps of adopt.bpf.o. */
export const ADOPTION_MAPS = {
  adoption: { type: MAP_TYPE.array, key: 4, value: LAYOUT.rm_adoption.size, entries: 1 },
  ports: { type: MAP_TYPE.hash, key: 2, value: LAYOUT.rm_adopted_port.size },
} as const satisfies Record<string, MapShape>;

/** Events that are kept; the entry before them counts all. */
export const KEPT_EVENTS = 511;

/** The log of all sidecars of a pin tree. */
export const EVENTS_MAP = {
  type: MAP_TYPE.array,
  key: 4,
  value: LAYOUT.rm_event.size,
  entries: 1 + KEPT_EVENTS,
  flags: MMAPABLE,
} as const satisfies MapShape;
