/** Makes the pins of one group, or opens and checks them. */
import { fstatSync, statSync } from "node:fs";
import { join } from "node:path";
import { BpfMap } from "../bpf/map.ts";
import { BpfObject } from "../bpf/object.ts";
import { openDirectory } from "../bpf/own_directory.ts";
import { differ, obtainIfAny, pin } from "../bpf/pin.ts";
import { cpuNumbers } from "../bpf/possible_cpus.ts";
import { isSelectProgram, PROGRAM_PIN } from "../bpf/program.ts";
import { ABI_VERSION, SELECT_PROGRAM } from "../core/abi.ts";
import { GROUP_MAPS, type GroupMap, groupShapes, isCapacity } from "../core/map_shapes.ts";
import { AbiMismatchError, NotSupportedError, VerifierError } from "../errors.ts";
import { hasMigrateCounters } from "../net/kernel_migrations.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { nameInObject, useControlMap } from "./control_map.ts";
import { differenceOf } from "./group_record.ts";
import { readRecords } from "./records.ts";

const MAP_NAMES = Object.keys(GROUP_MAPS) as GroupMap[];

/** File descriptors of a group, closed by their holder. */
export interface GroupPins extends Disposable {
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
  using own = new Owned();
  const maps: Partial<Record<GroupMap, BpfMap>> = {};
  for (const map of MAP_NAMES)
    maps[map] = own.use(new BpfMap(libc.duplicate(object.mapFd(nameInObject(map)))));
  const programFd = own.fd(libc.duplicate(object.programFd(SELECT_PROGRAM)));
  return { programFd, maps: maps as GroupPins["maps"], ...own.move() };
}

function load(slots: number): BpfObject {
  using own = new Owned();
  const object = own.use(new BpfObject("select"));
  try {
    requireShapes(object, slots);
    object.load();
    return own.release(object);
  } catch (error) {
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

/**
 * Opens the pins in a directory: all of one instance, also if the group grows meanwhile.
 * @throws AbiMismatchError with every difference to this version
 */
export function openPins(directory: string): GroupPins {
  for (;;) {
    using own = new Owned();
    const fd = own.fd(openExisting(directory));
    try {
      return openPinsIn(`/proc/self/fd/${fd}`, directory);
    } catch (error) {
      if (!isReplaced(fd, directory)) throw error;
    }
  }
}

function openExisting(directory: string): number {
  try {
    return openDirectory(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new AbiMismatchError(directory, ["the directory is missing"]);
  }
}

/** Returns whether another directory has the path now; false if none has. */
function isReplaced(fd: number, directory: string): boolean {
  const now = statSync(directory, { throwIfNoEntry: false });
  return now !== undefined && now.ino !== fstatSync(fd).ino;
}

/** @param name of the directory, for errors */
function openPinsIn(directory: string, name: string): GroupPins {
  using own = new Owned();
  const differences: string[] = [];
  const maps: Partial<Record<GroupMap, BpfMap>> = {};
  const open = (pin: string) => obtainIfAny(join(directory, pin));
  const programFd = own.fd(open(PROGRAM_PIN)) ?? -1;
  if (programFd < 0) differences.push("program is missing");
  else if (!isSelectProgram(programFd)) differences.push(`program is not ${SELECT_PROGRAM}`);
  for (const map of MAP_NAMES) {
    const fd = open(map);
    if (fd === null) differences.push(`map ${map} is missing`);
    else maps[map] = own.use(new BpfMap(fd));
  }
  const slots = maps.slots?.shape.entries ?? 0;
  const shapes = isCapacity(slots) ? groupShapes(slots, cpuNumbers()) : GROUP_MAPS;
  if (maps.slots && !isCapacity(slots)) differences.push(`map slots has entries ${slots}`);
  for (const [map, { shape }] of Object.entries(maps)) {
    differences.push(...differ(map, shapes[map as GroupMap], shape));
  }
  if (differences.length > 0) {
    // What else differs follows from the version.
    const version = differenceOf(readRecords(name)?.record.abiVersion ?? ABI_VERSION);
    throw new AbiMismatchError(name, version ? [version] : differences);
  }
  return { programFd, maps: maps as GroupPins["maps"], ...own.move() };
}
