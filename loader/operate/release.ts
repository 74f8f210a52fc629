/**
 * release: ends holds at once; the kernel then refuses connections until a server listens again.
 */

import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import type { Listener } from "../core/listener.ts";
import type { Spec } from "../core/spec.ts";
import { NoMatchError } from "../errors.ts";
import { Group } from "../group/group.ts";
import type { HeldConnections } from "../group/hold_record.ts";
import { type GroupRecords, readRecords } from "../group/records.ts";
import { splitStandby } from "../hold/members.ts";
import { shutDownStandby } from "../hold/standby_end.ts";
import { requireHost } from "../host/capabilities.ts";
import { shutDown } from "../net/foreign_listener.ts";
import { specOf } from "../observe/coverage.ts";
import { Observer } from "../observe/observer.ts";

/** A hold that the command ended, and what became of its connections. */
export interface Released {
  /** Name of the group. */
  readonly group: string;
  readonly held: HeldConnections;
}

/** @throws NoMatchError if no group of these SPECs holds */
export async function release(
  specs: readonly Spec[],
  options: { bpffs?: string } = {},
): Promise<Released[]> {
  requireHost("change");
  const pinTree = new PinTree(findBpffs(options.bpffs));
  const released: Released[] = [];
  if (pinTree.exists) {
    using observer = new Observer();
    // The sidecar sees the end when it is counted.
    using _lock = await pinTree.lock();
    const { groups, queues } = observer.read();
    for (const name of pinTree.groups()) {
      const records = readRecords(pinTree.directory(name));
      if (!records || !specOf(specs, records.record.key)) continue;
      if (records.standby.heldSinceMs === null) continue;
      const members = groups.get(name) ?? [];
      using group = Group.openOrNull(pinTree.directory(name));
      const held = group
        ? shutDownStandby(group, members, queues)
        : shutDownOther(records, members);
      if (held) released.push({ group: name, held });
    }
  }
  if (released.length > 0) return released;
  const names = specs.map(({ text }) => text).join(", ");
  throw new NoMatchError(`nothing is held for ${names}: 'reuseport-migrate status' shows what is`);
}

/** Shuts down the standby of another version's group, whose counts it cannot change. */
function shutDownOther(
  records: GroupRecords,
  members: readonly Listener[],
): HeldConnections | null {
  const { standby } = splitStandby(records, members);
  const reset = standby ? shutDown(standby) : null;
  return reset === null ? null : { handed_over: 0, reset };
}
