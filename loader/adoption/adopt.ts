/** Starts and stops adopting ports of a cgroup: its binds to them set SO_REUSEPORT. */
import { createHash } from "node:crypto";
import type { PinTree } from "../bpf/pin_tree.ts";
import { AbiMismatchError } from "../errors.ts";
import { locateCgroup } from "../host/cgroup.ts";
import { allOrNothing } from "../rollback.ts";
import { Adoption, detachLinks } from "./adoption.ts";
import { type AdoptedPort, unbound } from "./adoption_record.ts";

/** Returns the name of an adoption's directory: a digest, since paths can be longer than names. */
export function adoptionName(cgroup: string): string {
  return `adopt-${createHash("sha256").update(cgroup).digest("hex").slice(0, 16)}`;
}

/** Opens the adoption of a cgroup, or returns null if there is none. @throws AbiMismatchError */
export function openAdoption(pinTree: PinTree, cgroup: string): Adoption | null {
  const name = adoptionName(cgroup);
  return pinTree.has(name) ? Adoption.open(pinTree.directory(name)) : null;
}

/**
 * Adopts further `ports` of a cgroup (a path as in /proc/PID/cgroup, which need not exist yet).
 * Changes nothing if it throws.
 * @requires the pin tree's lock
 * @throws UsageError if the cgroup's parent does not exist, AbiMismatchError, ConflictError
 */
export function adopt(pinTree: PinTree, cgroup: string, ports: Iterable<number>): void {
  using existing = openAdoption(pinTree, cgroup);
  if (existing?.inForce) {
    extend(existing, ports);
    return;
  }
  locateCgroup(cgroup); // throws before anything is changed
  const before = existing?.ports() ?? [];
  const known = new Set(before.map(({ port }) => port));
  const added = [...new Set(ports)].filter((port) => !known.has(port)).map(unbound);
  // The parent was removed and created again: a new adoption continues the counts.
  if (existing) removeAdoption(pinTree, adoptionName(cgroup));
  create(pinTree, cgroup, [...before, ...added]);
}

function extend(adoption: Adoption, ports: Iterable<number>): void {
  allOrNothing((undo) => {
    for (const port of ports) if (adoption.add(port)) undo(() => adoption.remove(port));
  });
}

function create(pinTree: PinTree, cgroup: string, ports: readonly AdoptedPort[]): void {
  const name = adoptionName(cgroup);
  allOrNothing((undo) => {
    const directory = pinTree.makeUnfinished(name);
    undo(() => pinTree.removeUnfinished(name));
    undo(() => detachLinks(directory));
    Adoption.create(cgroup, ports, directory);
    pinTree.publish(name);
  });
}

/** Ends an adoption in one step. The next command cleans up if this process is killed meanwhile. */
function removeAdoption(pinTree: PinTree, name: string): void {
  detachLinks(pinTree.retract(name));
  pinTree.removeUnfinished(name);
}

/** Ports of a cgroup that are no longer adopted. */
export interface Unadopted {
  readonly cgroup: string;
  readonly ports: readonly number[];
}

/**
 * Stops adopting `ports`, or every port, in `cgroup`, or every cgroup. Removes adoptions without
 * ports.
 * @requires the pin tree's lock
 * @throws AbiMismatchError if another version made the pins, unless every port is meant
 */
export function unadopt(
  pinTree: PinTree,
  ports: ReadonlySet<number> | "all",
  cgroup?: string,
): Unadopted[] {
  const names = cgroup === undefined ? pinTree.adoptions() : [adoptionName(cgroup)];
  return names
    .filter((name) => pinTree.has(name))
    .flatMap((name) => unadoptOne(pinTree, name, ports));
}

function unadoptOne(
  pinTree: PinTree,
  name: string,
  ports: ReadonlySet<number> | "all",
): Unadopted[] {
  let adoption: Adoption;
  try {
    adoption = Adoption.open(pinTree.directory(name));
  } catch (error) {
    // The maps of another version cannot be read, but its links can be detached.
    if (!(error instanceof AbiMismatchError) || ports !== "all") throw error;
    removeAdoption(pinTree, name);
    return [{ cgroup: name, ports: [] }];
  }
  using own = adoption;
  const all = own.ports().map(({ port }) => port);
  const removed = all.filter((port) => ports === "all" || ports.has(port));
  if (removed.length === all.length) removeAdoption(pinTree, name);
  else for (const port of removed) own.remove(port);
  return removed.length > 0 ? [{ cgroup: own.record.path, ports: removed }] : [];
}
