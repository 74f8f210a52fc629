/**
 * release: ends holds at once; the kernel then refuses connections until a server listens again.
 */

import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import type { Spec } from "../core/spec.ts";
import { NoMatchError } from "../errors.ts";
import { Group } from "../group/group.ts";
import { requireHost } from "../host/capabilities.ts";
import { shutDown, splitStandby } from "../manage/members.ts";
import { specOf } from "../observe/coverage.ts";
import { Observer } from "../observe/observer.ts";

/** A hold that the command ended. */
export interface Released {
  /** Name of the group. */
  readonly group: string;
  /** Connections that it held; they are reset. */
  readonly connections: number;
}

/** @throws NoMatchError if no group of these SPECs holds */
export function release(specs: readonly Spec[], options: { bpffs?: string } = {}): Released[] {
  requireHost();
  const pinTree = new PinTree(findBpffs(options.bpffs));
  using observer = new Observer();
  const { groups, queues } = observer.read();
  const released: Released[] = [];
  for (const name of pinTree.groups()) {
    using group = Group.openOrNull(pinTree.directory(name));
    if (group === null || !specOf(specs, group.record.key) || group.standby.heldSinceMs === null)
      continue;
    const { standby } = splitStandby(group, groups.get(name) ?? []);
    if (standby && shutDown(standby)) {
      released.push({ group: name, connections: queues.get(standby.cookie)?.length ?? 0 });
    }
  }
  if (released.length > 0) return released;
  const names = specs.map(({ text }) => text).join(", ");
  throw new NoMatchError(`nothing is held for ${names}: 'reuseport-migrate status' shows what is`);
}
