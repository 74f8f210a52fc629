/**
 * The map `control`, which differs from every other map of a group:
 * - In the object it is a data section. Its address is part of the program's code, so that a SYN
 *   needs no lookup (3 ns, bench row 1).
 * - It is longer than the section, as the counters of every possible CPU follow
 *   (rm_control.counters). So the group's own map replaces the section's (BpfObject.useMap()).
 * - The program checks indexes of counters against rm_sizes in its .rodata.
 * - Its memory is mapped. PlanTable writes its start (BpfMap.writeStart()) while programs count;
 *   Counters reads the rest.
 */
import { BpfMap } from "../bpf/map.ts";
import type { BpfObject } from "../bpf/object.ts";
import { cpuNumbers } from "../bpf/possible_cpus.ts";
import { CONTROL_SECTION, LAYOUT, RODATA } from "../core/abi.ts";
import {
  cpuCounters,
  cpuLine,
  type GroupMap,
  groupShapes,
  RDONLY_PROG,
} from "../core/map_shapes.ts";

/** Returns the name of a group's map in the object. */
export function nameInObject(map: GroupMap): string {
  return map === "control" ? CONTROL_SECTION : map;
}

/** Gives an object the `control` of a group with `slots` slots, before load. */
export function useControlMap(object: BpfObject, slots: number): void {
  const cpus = cpuNumbers();
  object.useMap(CONTROL_SECTION, BpfMap.create("control", groupShapes(slots, cpus).control));
  const counters = cpuCounters(slots);
  const sizes = { counters: cpus * counters, cpu_counters: counters, cpu_line: cpuLine(slots) };
  object.setData(RODATA, LAYOUT.rm_sizes.encode(sizes));
  // Not mappable: it would take whole pages.
  object.setFlags(RODATA, RDONLY_PROG);
}
