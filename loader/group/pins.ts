/** Makes the pins of one group, or opens and checks them. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { BpfMap } from "../bpf/map.ts";
import { BpfObject } from "../bpf/object.ts";
import { differ, obtain, pin } from "../bpf/pin.ts";
import { cpuNumbers } from "../bpf/possible_cpus.ts";
import { PROGRAM_PIN } from "../bpf/program.ts";
import { SELECT_PROGRAM } from "../core/abi.ts";
import { GROUP_MAPS, type GroupMap, groupShapes } from "../core/map_shapes.ts";
import { AbiMismatchError, NotSupportedError, VerifierError } from "../errors.ts";
import { hasMigrateCounters } from "../net/kernel_migrations.ts";
import * as libc from "../sys/libc.ts";
import { nameInObject, useControlMap } from "./control_map.ts";

const MAP_NAMES = Object.keys(GROUP_MAPS) as GroupMap[];

/** File descriptors, closed by their holder. */
export interface GroupPins {
  readonly programFd: number;
  readonly maps: Readonly<Record<GroupMap, BpfMap>>;
}

/**
 * Loads an instance for `slots` listeners and pins it into an empty directory. Its maps are empty,
 * so it leaves decisions to the kernel's hash. Attaches nothing.
 */
export function makePins(slots: number, unfinished: string): void {
  using object = load(slots);
  pin(object.programFd(SELECT_PROGRAM), join(unfinished, PROGRAM_PIN));
  for (const map of MAP_NAMES) pin(object.mapFd(nameInObject(map)), join(unfinished, map));
}

/** Loads an instance without pins: it ends with its file descriptors and its kernel group. */
export function makeUnpinned(slots: number): GroupPins {
  using object = load(slots);
  const maps: Partial<Record<GroupMap, BpfMap>> = {};
  for (const map of MAP_NAMES)
    maps[map] = new BpfMap(libc.duplicate(object.mapFd(nameInObject(map))));
  const programFd = libc.duplicate(object.programFd(SELECT_PROGRAM));
  return { programFd, maps: maps as GroupPins["maps"] };
}

function load(slots: number): BpfObject {
  const object = new BpfObject("select");
  try {
    requireShapes(object, slots);
    object.load();
    return object;
  } catch (error) {
    object[Symbol.dispose]();
    if (error instanceof VerifierError && !hasMigrateCounters()) {
      throw new NotSupportedError(
        "SELECT_OR_MIGRATE",
        "this kernel cannot migrate connections (no BPF_SK_REUSEPORT_SELECT_OR_MIGRATE): Linux 5.14 or newer is needed",
        { cause: error },
      );
    }
    throw error;
  }
}

/** Gives an object's maps the sizes of a group with `slots` slots. */
export function requireShapes(object: BpfObject, slots: number): void {
  const shapes = groupShapes(slots, cpuNumbers());
  for (const map of MAP_NAMES) {
    if (map !== "control") object.setEntries(map, shapes[map].entries);
  }
  useControlMap(object, slots);
}

/** Opens the pins in a directory. @throws AbiMismatchError with every difference to this version */
export function openPins(directory: string): GroupPins {
  const differences: string[] = [];
  const maps: Partial<Record<GroupMap, BpfMap>> = {};
  let programFd = -1;
  const path = (pin: string) => join(directory, pin);
  if (existsSync(path(PROGRAM_PIN))) programFd = obtain(path(PROGRAM_PIN));
  else differences.push("program is missing");
  for (const map of MAP_NAMES) {
    if (!existsSync(path(map))) {
      differences.push(`map ${map} is missing`);
      continue;
    }
    maps[map] = new BpfMap(obtain(path(map)));
  }
  const shapes = maps.slots ? groupShapes(maps.slots.shape.entries, cpuNumbers()) : GROUP_MAPS;
  for (const [name, { shape }] of Object.entries(maps)) {
    differences.push(...differ(name, shapes[name as GroupMap], shape));
  }
  if (differences.length === 0) return { programFd, maps: maps as GroupPins["maps"] };
  if (programFd >= 0) libc.close(programFd);
  for (const map of Object.values(maps)) map[Symbol.dispose]();
  throw new AbiMismatchError(directory, differences);
}
