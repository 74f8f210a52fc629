/** Names of network namespaces for people: a path, a container or a unit, else the inode number. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { endpoint, type GroupKey, groupKeyOf, type Owner } from "../core/listener.ts";
import { cgroupOf } from "../host/cgroup.ts";
import { cgroupLabel } from "../host/cgroup_label.ts";
import { ownNetns } from "../net/netns_inode.ts";
import { printable } from "../printable.ts";

/** Where `ip netns add` and container runtimes mount them. Only root can write there. */
const DIRECTORIES = ["/run/netns", "/run/docker/netns"];
/** A namespace may end, and its number be used again: a name is looked up again after this, ms. */
const KEPT_MS = 10_000;

const own = ownNetns();
const known = new Map<number, { readonly label: string; readonly sinceMs: number }>();

/**
 * Returns the name of a network namespace; null for our own.
 * @param owners processes in it
 */
export function netnsLabel(netns: number, owners: readonly Owner[]): string | null {
  if (netns === own) return null;
  const nowMs = performance.now();
  const before = known.get(netns);
  if (before && nowMs - before.sinceMs < KEPT_MS) return before.label;
  const label = mountOf(netns) ?? ownerLabel(owners) ?? before?.label ?? String(netns);
  for (const [inode, { sinceMs }] of known) if (nowMs - sinceMs > 6 * KEPT_MS) known.delete(inode);
  known.set(netns, { label, sinceMs: nowMs });
  return label;
}

/** `127.0.0.1:8080`; in another network namespace `127.0.0.1:8080 in netns NAME (4026532178)`. */
export function placeOf(key: GroupKey, owners: readonly Owner[]): string {
  return netnsLabel(key.netns, owners) === null ? endpoint(key) : fullPlaceOf(key, owners);
}

/** As {@link placeOf}, with our own network namespace too. */
export function fullPlaceOf(key: GroupKey, owners: readonly Owner[]): string {
  const { netns } = key;
  const label = netnsLabel(netns, owners) ?? "own";
  const number = label === String(netns) ? label : `${label} (${netns})`;
  return `${endpoint(key)} in netns ${number}`;
}

/** As {@link placeOf}, of the group with this name. */
export function placeOfGroup(name: string): string {
  const key = groupKeyOf(name);
  return key ? placeOf(key, []) : printable(name);
}

function mountOf(netns: number): string | null {
  for (const directory of DIRECTORIES) {
    try {
      const found = readdirSync(directory).find((name) => {
        return statSync(join(directory, name)).ino === netns;
      });
      if (found !== undefined) return printable(join(directory, found));
    } catch {
      // There is no such directory, or a name in it was just removed.
    }
  }
  return null;
}

function ownerLabel([owner]: readonly Owner[]): string | null {
  try {
    const path = owner && cgroupOf(owner.pid);
    return path ? cgroupLabel(path) : null;
  } catch {
    return null; // without a free file descriptor the number has to do
  }
}
