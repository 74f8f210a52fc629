/**
 * Changing a pinned group without its sidecar: policy, and who is drained. Each change is in force
 * when the call returns; a sidecar that runs goes on from what is pinned.
 */
import { existsSync } from "node:fs";
import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import type { Listener, QueuesByCookie } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import type { Spec } from "../core/spec.ts";
import { NoMatchError } from "../errors.ts";
import { Group } from "../group/group.ts";
import { requireHost } from "../host/capabilities.ts";
import { applyGroup } from "../manage/apply.ts";
import { splitStandby } from "../manage/members.ts";
import { specOf } from "../observe/coverage.ts";
import { Observer } from "../observe/observer.ts";

/** A group that may be changed, and who listens in it. */
export interface Changeable {
  readonly group: Group;
  /** Its listeners, the standby left out. */
  readonly listeners: readonly Listener[];
  readonly queues: QueuesByCookie;
}

/** Works on the groups that `specs` name, all of them at once, under the state's lock. */
export function withGroups<T>(
  specs: readonly Spec[],
  options: { readonly bpffs?: string },
  work: (groups: readonly Changeable[]) => T,
): T {
  requireHost();
  const pinTree = new PinTree(findBpffs(options.bpffs));
  if (!existsSync(pinTree.root)) throw nothing(specs);
  using observer = new Observer();
  using _lock = pinTree.lock();
  const { groups: members, queues } = observer.snapshot();
  const groups: Changeable[] = [];
  try {
    for (const name of pinTree.groups()) {
      const group = Group.openOrNull(pinTree.directory(name));
      if (group === null) continue;
      const { listeners } = splitStandby(group, members.get(name) ?? []);
      groups.push({ group, listeners, queues });
    }
    const wanted = groups.filter(({ group }) => specOf(specs, group.record.key));
    if (wanted.length === 0) throw nothing(specs);
    return work(wanted);
  } finally {
    pinTree.mark();
    for (const { group } of groups) group[Symbol.dispose]();
    pinTree.tidy();
  }
}

/** Puts what is pinned now in force. */
export function applyChanged({ group, listeners }: Changeable): Plan {
  return applyGroup(group, listeners);
}

function nothing(specs: readonly Spec[]): NoMatchError {
  const names = specs.map(({ text }) => text).join(", ");
  return new NoMatchError(
    `nothing is attached for ${names}: 'reuseport-migrate status' lists what is`,
  );
}
