/** adopt: binds in a cgroup set SO_REUSEPORT from now on, on some ports; and the way back. */
import { createHash } from "node:crypto";
import type { State } from "../bpf/pin_tree.ts";
import { AbiMismatchError } from "../errors.ts";
import { nestOf } from "../host/cgroup.ts";
import { allOrNothing } from "../rollback.ts";
import { Adoption, detachLinks } from "./adoption.ts";
import { type AdoptedPort, unbound } from "./adoption_record.ts";

/** What an adoption's directory is called: paths are longer than names may be. */
export function adoptionName(cgroup: string): string {
  return `adopt-${createHash("sha256").update(cgroup).digest("hex").slice(0, 16)}`;
}

/** Opens the adoption of a cgroup, if there is one. @throws AbiMismatchError */
export function openAdoption(state: State, cgroup: string): Adoption | null {
  const name = adoptionName(cgroup);
  return state.has(name) ? Adoption.open(state.directory(name)) : null;
}

/**
 * Adopts `ports` of a cgroup (a path as in /proc/PID/cgroup, which need not exist yet), in
 * addition to those that are. When it throws, it has changed nothing. Wants the state's lock.
 * @throws UsageError when the cgroup's parent does not exist, AbiMismatchError, ConflictError
 */
export function adopt(state: State, cgroup: string, ports: Iterable<number>): void {
  using existing = openAdoption(state, cgroup);
  if (existing?.inForce) {
    extend(existing, ports);
    return;
  }
  nestOf(cgroup); // the refusal first
  const before = existing?.ports() ?? [];
  const known = new Set(before.map(({ port }) => port));
  const added = [...new Set(ports)].filter((port) => !known.has(port)).map(unbound);
  // Its parent was removed and created again: made anew, with what was counted.
  if (existing) dismantle(state, adoptionName(cgroup));
  create(state, cgroup, [...before, ...added]);
}

function extend(adoption: Adoption, ports: Iterable<number>): void {
  allOrNothing((undo) => {
    for (const port of ports) if (adoption.add(port)) undo(() => adoption.remove(port));
  });
}

function create(state: State, cgroup: string, ports: readonly AdoptedPort[]): void {
  const name = adoptionName(cgroup);
  allOrNothing((undo) => {
    const directory = state.makeUnfinished(name);
    undo(() => state.removeUnfinished(name));
    undo(() => detachLinks(directory));
    Adoption.create(cgroup, ports, directory);
    state.publish(name);
  });
}

/** Out of force in one step; what follows is done by the next command if we are cut short. */
function dismantle(state: State, name: string): void {
  detachLinks(state.retract(name));
  state.removeUnfinished(name);
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
  state: State,
  ports: ReadonlySet<number> | "all",
  cgroup?: string,
): Unadopted[] {
  const names = cgroup === undefined ? state.adoptions() : [adoptionName(cgroup)];
  return names.filter((name) => state.has(name)).flatMap((name) => unadoptOne(state, name, ports));
}

function unadoptOne(state: State, name: string, ports: ReadonlySet<number> | "all"): Unadopted[] {
  let adoption: Adoption;
  try {
    adoption = Adoption.open(state.directory(name));
  } catch (error) {
    // Of another version: its maps mean nothing to us, its links are links.
    if (!(error instanceof AbiMismatchError) || ports !== "all") throw error;
    dismantle(state, name);
    return [{ cgroup: name, ports: [] }];
  }
  using own = adoption;
  const all = own.ports().map(({ port }) => port);
  const going = all.filter((port) => ports === "all" || ports.has(port));
  if (going.length === all.length) dismantle(state, name);
  else for (const port of going) own.remove(port);
  return going.length > 0 ? [{ cgroup: own.record.path, ports: going }] : [];
}
