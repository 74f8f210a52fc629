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

/** As {@link openAdoption}, but null also if it cannot be read. */
function openIfReadable(pinTree: PinTree, cgroup: string): Adoption | null {
  try {
    return openAdoption(pinTree, cgroup);
  } catch (error) {
    if (error instanceof AbiMismatchError) return null;
    throw error;
  }
}

/**
 * Adopts further `ports` of a cgroup (a path as in /proc/PID/cgroup, which need not exist yet).
 * Changes nothing if it throws.
 * @requires the pin tree's lock
 * @throws UsageError if the cgroup's parent does not exist, ConflictError
 */
export function adopt(pinTree: PinTree, cgroup: string, ports: Iterable<number>): void {
  using existing = openIfReadable(pinTree, cgroup);
  if (existing?.inForce && existing.isOurs) {
    extend(existing, ports);
    return;
  }
  locateCgroup(cgroup); // throws before anything is changed
  const before = existing?.ports() ?? [];
  const known = new Set(before.map(({ port }) => port));
  const added = [...new Set(ports)].filter((port) => !known.has(port)).map(unbound);
  // The parent was removed and created again, or another version adopted it: a new adoption
  // continues the counts.
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
    if (!pinTree.has(name)) {
      pinTree.publish(name);
      return;
    }
    // No bind is without a program meanwhile.
    pinTree.exchange(name);
    detachLinks(directory);
    pinTree.removeUnfinished(name);
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
 * @throws AbiMismatchError if pins cannot be read, unless every port is meant
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
  using own = openOrRemove(pinTree, name, ports === "all");
  if (own === null) return [{ cgroup: name, ports: [] }];
  const all = own.ports().map(({ port }) => port);
  const removed = all.filter((port) => ports === "all" || ports.has(port));
  if (removed.length === all.length) removeAdoption(pinTree, name);
  else for (const port of removed) own.remove(port);
  return removed.length > 0 ? [{ cgroup: own.record.path, ports: removed }] : [];
}

/** Opens an adoption; removes one that cannot be read, if it may, and returns null. */
function openOrRemove(pinTree: PinTree, name: string, mayRemove: boolean): Adoption | null {
  try {
    return Adoption.open(pinTree.directory(name));
  } catch (error) {
    // What cannot be read can be detached nevertheless.
    if (!(error instanceof AbiMismatchError) || !mayRemove) throw error;
    removeAdoption(pinTree, name);
    return null;
  }
}
