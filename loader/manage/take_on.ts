/** How a group comes under a sidecar's management: its pins are made, or taken over. */
import { Lock } from "../bpf/directory_lock.ts";
import type { PinTree } from "../bpf/pin_tree.ts";
import { type GroupMatch, NOTHING_QUEUED } from "../core/listener.ts";
import { Group } from "../group/group.ts";
import { newRecord, recorded } from "../group/group_record.ts";
import { refuseUnselectable, splitStandby } from "../hold/members.ts";
import { isOrphan, noteOrphans } from "../keeper/orphans.ts";
import { placeOfGroup } from "../observe/netns_label.ts";
import { allOrNothing } from "../rollback.ts";
import { applyGroup } from "./apply.ts";
import { detachProgram, refuseBeforeLoading, refuseForeign } from "./attach.ts";
import type { ManageOptions, Refreshed } from "./manage_options.ts";
import { ManagedGroup } from "./managed_group.ts";
import { replaceGroup } from "./other_version.ts";

/**
 * Takes over the pins of a group, or loads, fills and pins it; then attaches. Changes nothing if it
 * throws.
 * @requires the pin tree's lock
 * @throws ForeignProgramError, AlreadyManagedError, StandbyError, LockedError
 */
export function takeOnGroup(
  pinTree: PinTree,
  match: GroupMatch,
  options: ManageOptions,
): [ManagedGroup, Refreshed] {
  const { name, members } = match;
  let isDone = false;
  try {
    // A hold under way goes on: listeners of a process that exits cannot be selected either.
    if (options.hold && !members.some(isOrphan)) refuseUnselectable(members);
    const taken = (pinTree.has(name) ? takeOver : pinNew)(pinTree, match, options);
    isDone = true;
    return taken;
  } finally {
    noteOrphans(members, isDone);
  }
}

function pinNew(
  pinTree: PinTree,
  match: GroupMatch,
  options: ManageOptions,
): [ManagedGroup, Refreshed] {
  const { name, members } = match;
  refuseBeforeLoading(members, options);
  return allOrNothing((undo) => {
    const directory = pinTree.makeUnfinished(name);
    undo(() => pinTree.removeUnfinished(name));
    const lock = new Lock(directory, name);
    undo(() => lock[Symbol.dispose]());
    const group = Group.create(name, newRecord(match, options), directory);
    undo(() => group[Symbol.dispose]());
    const managed = new ManagedGroup(pinTree, group, lock, { origin: "new", options });
    undo(() => managed[Symbol.dispose]());
    const { listeners } = splitStandby(group, members);
    const plan = managed.prepare(options.readyFirst ? [] : listeners);
    pinTree.publish(name);
    undo(() => pinTree.remove(name));
    undo(() => group.record.attachments > 0 && detachProgram(members));
    // Neither standby nor candidate has received a connection yet.
    return [managed, { ...managed.refresh(members, NOTHING_QUEUED), plan }];
  });
}

function takeOver(
  pinTree: PinTree,
  match: GroupMatch,
  options: ManageOptions,
): [ManagedGroup, Refreshed] {
  const { name, members, service } = match;
  const { replace } = options;
  return allOrNothing((undo) => {
    const directory = pinTree.directory(name);
    const lock = new Lock(directory, placeOfGroup(name));
    undo(() => lock[Symbol.dispose]());
    const group = Group.openOrNull(directory);
    undo(() => group?.[Symbol.dispose]());
    if (group === null) {
      using _lock = lock;
      return replaceGroup(pinTree, match, options);
    }
    if (!replace) refuseForeign(members, (member) => group.isAttachedTo(member));
    const before = group.record;
    const managed = new ManagedGroup(pinTree, group, lock, { origin: "taken_over", options });
    undo(() => managed[Symbol.dispose]());
    const { listeners } = splitStandby(group, members);
    undo(() => applyGroup(group, listeners));
    undo(() => group.setRecord({ ...group.record, ...recorded(before), service: before.service }));
    undo(() => managed.hold.close("it was not taken over"));
    group.setRecord({ ...group.record, ...recorded(options), service });
    group.pruneSources();
    return [managed, managed.refresh(members, NOTHING_QUEUED)];
  });
}
