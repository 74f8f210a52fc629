/**
 * Changes pinned groups without their sidecar: the policy, and drained listeners. A change is in
 * force when the call returns; a running sidecar reads it from the pins.
 */
import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import type { Listener, QueuesByCookie } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import type { Spec } from "../core/spec.ts";
import { NoMatchError } from "../errors.ts";
import { Group } from "../group/group.ts";
import { readRecords } from "../group/records.ts";
import { splitStandby } from "../hold/members.ts";
import { requireHost } from "../host/capabilities.ts";
import { applyGroup } from "../manage/apply.ts";
import { attachGrown } from "../manage/attach.ts";
import { specOf } from "../observe/coverage.ts";
import { Observer } from "../observe/observer.ts";
import { Owned } from "../owned.ts";

/** A group to change, and its listeners. */
export interface Changeable {
  readonly group: Group;
  /** Its listeners, except the standby. */
  readonly listeners: readonly Listener[];
  readonly queues: QueuesByCookie;
}

/**
 * Calls `work` with the groups that `specs` match, under the pin tree's lock.
 * @throws NoMatchError, AbiMismatchError if another version pinned one of them
 */
export async function withGroups<T>(
  specs: readonly Spec[],
  options: { readonly bpffs?: string },
  work: (groups: readonly Changeable[]) => T,
): Promise<T> {
  requireHost("change");
  const pinTree = new PinTree(findBpffs(options.bpffs));
  if (!pinTree.exists) throw nothingAttached(specs);
  using observer = new Observer();
  using _lock = await pinTree.lock();
  const { groups: members, queues } = observer.read();
  using own = new Owned();
  const groups: Changeable[] = [];
  try {
    for (const name of pinTree.groups()) {
      const directory = pinTree.directory(name);
      const group = own.use(Group.openOrNull(directory));
      if (group === null) {
        const records = readRecords(directory);
        if (records && specOf(specs, records.record.key)) own.use(Group.open(directory)); // throws
        continue;
      }
      const { listeners } = splitStandby(group, members.get(name) ?? []);
      groups.push({ group, listeners, queues });
    }
    const matching = groups.filter(({ group }) => specOf(specs, group.record.key));
    if (matching.length === 0) throw nothingAttached(specs);
    return work(matching);
  } finally {
    pinTree.mark();
    pinTree.tidy();
  }
}

/** Puts the pinned state of a group in force. */
export function applyChanged({ group, listeners }: Changeable): Plan {
  const plan = applyGroup(group, listeners);
  attachGrown(group, listeners);
  return plan;
}

export function nothingAttached(specs: readonly Spec[]): NoMatchError {
  const names = specs.map(({ text }) => text).join(", ");
  return new NoMatchError(
    `nothing is attached for ${names}: 'reuseport-migrate status' lists what is`,
  );
}
