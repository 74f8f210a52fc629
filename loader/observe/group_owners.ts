/** What owns the listeners of a group: unit, container and pod of their processes. */
import type { Listener } from "../core/listener.ts";
import { cgroupOf } from "../host/cgroup.ts";
import { type CgroupLabels, cgroupLabels } from "../host/cgroup_label.ts";
import { isStandby } from "../keeper/orphans.ts";

/**
 * Most processes of a listener, and of a group, whose cgroups are read: 1 ms. A server's processes
 * are in one cgroup, and any user can make a listener with thousands of owners.
 */
export const MAX_ASKED = 64;
/** Most owners of a group: each is a series of /metrics. */
export const MAX_OWNERS = 8;

const NONE: readonly CgroupLabels[] = [];
/** By the members of a group, which are a new array when one of them came, left or changed. */
const known = new WeakMap<readonly Listener[], readonly CgroupLabels[]>();

/**
 * Returns the owners of a group, the standby left out. A process that changed its cgroup later is
 * shown where it was: cgroups are read again only when a listener of the group came, left or
 * changed (bench row 12).
 * @param members as in a snapshot
 */
export function groupOwners(members: readonly Listener[]): readonly CgroupLabels[] {
  let owners = known.get(members);
  if (owners === undefined) {
    owners = readOwners(members);
    known.set(members, owners);
  }
  return owners;
}

function readOwners(members: readonly Listener[]): readonly CgroupLabels[] {
  const owners = new Map<string, CgroupLabels>();
  for (const pid of pidsOf(members)) {
    const labels = labelsOf(pid);
    if (labels === null) continue;
    owners.set(JSON.stringify(labels), labels);
    if (owners.size === MAX_OWNERS) break;
  }
  return owners.size === 0 ? NONE : [...owners.values()];
}

/** Returns the first processes that have a listener of these. */
function pidsOf(members: readonly Listener[]): Set<number> {
  const pids = new Set<number>();
  for (const member of members) {
    if (isStandby(member)) continue;
    for (const { pid } of member.owners) {
      if (pids.add(pid).size === MAX_ASKED) return pids;
    }
  }
  return pids;
}

/** Returns what the cgroup of a process says; null: nothing, or it cannot be read. */
function labelsOf(pid: number): CgroupLabels | null {
  try {
    const path = cgroupOf(pid);
    const labels = path === null ? null : cgroupLabels(path);
    return labels && (labels.unit ?? labels.container ?? labels.pod) !== null ? labels : null;
  } catch {
    return null; // without a free file descriptor
  }
}
