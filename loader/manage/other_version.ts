/**
 * Groups that another version has pinned. Of their pins only the records can be read
 * (group/records.ts); the program can be replaced and detached.
 */
import { join } from "node:path";
import { Lock } from "../bpf/directory_lock.ts";
import { obtainIfAny } from "../bpf/pin.ts";
import type { PinTree } from "../bpf/pin_tree.ts";
import { PROGRAM_PIN, pinnedProgramId, programName } from "../bpf/program.ts";
import { SELECT_PROGRAM } from "../core/abi.ts";
import { endpoint, type GroupMatch, type Listener, NOTHING_QUEUED } from "../core/listener.ts";
import { isCapacity } from "../core/map_shapes.ts";
import { capacityFor } from "../core/plan.ts";
import { ConflictError } from "../errors.ts";
import { NO_COUNTS } from "../group/counters.ts";
import { Group } from "../group/group.ts";
import { type GroupRecord, newRecord, recorded } from "../group/group_record.ts";
import { type GroupRecords, readRecords } from "../group/records.ts";
import { splitStandby } from "../hold/members.ts";
import { isOrphan } from "../keeper/orphans.ts";
import { Owned } from "../owned.ts";
import { allOrNothing } from "../rollback.ts";
import { attachProgram, refuseForeign } from "./attach.ts";
import { detachMembers } from "./detach_group.ts";
import type { ManageOptions, Refreshed } from "./manage_options.ts";
import { ManagedGroup } from "./managed_group.ts";

/**
 * Puts a group of this version in the place of pins that it cannot use, and its program in the place
 * of theirs: no decision is without a program meanwhile. Generations, drained listeners, and holds
 * with their counts go on; other counts begin anew. Changes nothing if it throws.
 * @requires the pin tree's lock, and the lock of the group
 * @throws ForeignProgramError, StandbyError
 */
export function replaceGroup(
  pinTree: PinTree,
  match: GroupMatch,
  options: ManageOptions,
): [ManagedGroup, Refreshed] {
  const { name, members } = match;
  const directory = pinTree.directory(name);
  const records = readRecords(directory);
  const runsTheirs = programOf(directory, records);
  const isTheirs = (member: Listener) => runsTheirs(member) === true;
  if (!options.replace) refuseForeign(members, isTheirs);
  // If this process is killed before it attaches, the next one knows the program by its id.
  const program = members.find(isTheirs)?.programId ?? pinnedProgramId(directory);
  using own = new Owned();
  const before = own.fd(obtainIfAny(join(directory, PROGRAM_PIN)));
  const replaced = allOrNothing((undo) => {
    const unfinished = pinTree.makeUnfinished(name);
    undo(() => pinTree.removeUnfinished(name));
    const lock = new Lock(unfinished, name);
    undo(() => lock[Symbol.dispose]());
    const record = recordFor(match, options, records);
    const group = Group.create(name, { ...record, replacedProgram: program ?? 0 }, unfinished);
    undo(() => group[Symbol.dispose]());
    if (records) carryOver(records, group);
    findStandby(group, members);
    const origin = { replacedAbi: records?.record.abiVersion ?? null };
    const managed = new ManagedGroup(pinTree, group, lock, { origin, options });
    undo(() => managed[Symbol.dispose]());
    pinTree.exchange(name);
    undo(() => pinTree.exchange(name));
    undo(() => before !== null && attachProgram(members, before));
    // Nothing that it opened has received a connection yet.
    const taken: [ManagedGroup, Refreshed] = [managed, managed.refresh(members, NOTHING_QUEUED)];
    return taken;
  });
  pinTree.removeUnfinished(name);
  return replaced;
}

function recordFor(
  match: GroupMatch,
  options: ManageOptions,
  records: GroupRecords | null,
): GroupRecord {
  const { service, members } = match;
  if (records === null) return newRecord(match, options);
  const { slots, ...record } = records.record;
  const capacity = isCapacity(slots) ? slots : capacityFor(members.length);
  return { ...record, ...recorded(options), service, slots: capacity, firstProgram: 0 };
}

/** Copies the records to an instance that has counted nothing yet. */
function carryOver({ slots, standby, holds }: GroupRecords, to: Group): void {
  for (const { slot } of slots) {
    if (slot.slot >= to.record.slots) continue;
    to.setSource(slot); // also of listeners that have closed: handshakes under way name them
    to.setSlot({ slot, base: NO_COUNTS });
  }
  to.setStandby(standby);
  to.setHoldCounts(holds);
}

/** A keeper has the standby of a sidecar that is gone; the records may not name it. */
function findStandby(group: Group, members: readonly Listener[]): void {
  const { standby } = group;
  const orphan = members.find(isOrphan);
  if (!orphan || members.some(({ cookie }) => cookie === standby.cookie)) return;
  group.setStandby({ ...standby, cookie: orphan.cookie });
}

/**
 * Ends the standby, detaches, then unpins, as for a group of this version.
 * @throws ConflictError if it is not known whether the attached program is theirs
 */
export function detachOther(pinTree: PinTree, name: string, members: readonly Listener[]): void {
  const directory = pinTree.directory(name);
  const records = readRecords(directory);
  const runsTheirs = programOf(directory, records);
  detachMembers(pinTree, name, splitStandby(records, members), (member) => {
    const answer = runsTheirs(member);
    if (answer === null) throw unknownProgram(member);
    return answer;
  });
}

function unknownProgram({ key, programId }: Listener): ConflictError {
  return new ConflictError(
    `${endpoint(key)} was not detached: the pin of its program cannot be read, and without CAP_SYS_ADMIN neither can program ${programId}; run 'detach --all' with that capability`,
  );
}

/**
 * Returns what tells whether the kernel group of a listener runs the program of these pins; null: it
 * is not known. If the pin cannot be read, the name of the program decides.
 */
function programOf(
  directory: string,
  records: GroupRecords | null,
): (member: Listener) => boolean | null {
  const pinned = pinnedProgramId(directory);
  const replaced = records?.record.replacedProgram;
  return ({ programId }) => {
    if (programId === null || programId === 0) return false;
    if (pinned !== null) return programId === pinned || programId === replaced;
    const name = programName(programId);
    return name === null ? null : name === SELECT_PROGRAM;
  };
}
