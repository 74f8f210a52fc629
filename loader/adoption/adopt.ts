/** adopt: binds in a cgroup set SO_REUSEPORT from now on, on some ports; and the way back. */
import { createHash } from "node:crypto";
import type { PinTree } from "../bpf/pin_tree.ts";
import { AbiMismatchError } from "../errors.ts";
import { locateCgroup } from "../host/cgroup.ts";
import { allOrNothing } from "../rollback.ts";
import { Adoption, detachLinks } from "./adoption.ts";
import { type AdoptedPort, unbound } from "./adoption_record.ts";

/** What an adoption's directory is called: paths are longer than names may be. */
export function adoptionName(cgroup: string): string {
  return `adopt-${createHash("sha256").update(cgroup).digest("hex").slice(0, 16)}`;
}

/** Opens the adoption of a cgroup, if there is one. @throws AbiMismatchError */
export function openAdoption(pinTree: PinTree, cgroup: string): Adoption | null {
  const name = adoptionName(cgroup);
  return pinTree.has(name) ? Adoption.open(pinTree.directory(name)) : null;
}

/**
 * Adopts `ports` of a cgroup (a path as in /proc/PID/cgroup, which need not exist yet), in
 * addition to those that are. When it throws, it has changed nothing. Wants the state's lock.
 * @throws UsageError when the cgroup's parent does not exist, AbiMismatchError, ConflictError
 */
export function adopt(pinTree: PinTree, cgroup: string, ports: Iterable<number>): void {
  using existing = openAdoption(pinTree, cgroup);
  if (existing?.inForce) {
    extend(existing, ports);
    return;
  }
  locateCgroup(cgroup); // the refusal first
  const before = existing?.ports() ?? [];
  const known = new Set(before.map(({ port }) => port));
  const added = [...new Set(ports)].filter((port) => !known.has(port)).map(unbound);
  // Its parent was removed and created again: made anew, with what was counted.
  if (existing) dismantle(pinTree, adoptionName(cgroup));
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

/** Out of force in one step; what follows is done by the next command if we are cut short. */
function dismantle(pinTree: PinTree, name: string): void {
  detachLinks(pinTree.retract(name));
  pinTree.removeUnfinished(name);
}

/** Ports that are adopted no more. */
export interface Unadopted {
  readonly cgroup: string;
  readonly ports: readonly number[];
}

/**
 * Undoes {@link adopt} for `ports`, or all of them, in `cgroup`, or all of them. An adoption
 * without a port left is removed. Wants the state's lock.
 * @throws AbiMismatchError unless all are to go
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
    // Of another version: its maps mean nothing to us, its links are links.
    if (!(error instanceof AbiMismatchError) || ports !== "all") throw error;
    dismantle(pinTree, name);
    return [{ cgroup: name, ports: [] }];
  }
  using own = adoption;
  const all = own.ports().map(({ port }) => port);
  const going = all.filter((port) => ports === "all" || ports.has(port));
  if (going.length === all.length) dismantle(pinTree, name);
  else for (const port of going) own.remove(port);
  return going.length > 0 ? [{ cgroup: own.record.path, ports: going }] : [];
}
