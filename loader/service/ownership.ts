/** Which service owns a group, and when a managed group is given up. */

import type { GroupMatch, Listener, QueuesByCookie } from "../core/listener.ts";
import { isStandby } from "../keeper/orphans.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
import type { OtherListeners } from "../observe/other_listeners.ts";
import type { Service } from "./service.ts";

/** A group to take on, and the service that will own it. */
export interface OwnedMatch extends GroupMatch {
  readonly owner: Service;
}

/** A managed group and its service; null: no service covers it any longer, and it is given up. */
export interface ManagedEntry {
  readonly managed: ManagedGroup;
  service: Service | null;
}

/** Conditions at the time of a pass. */
export interface PassConditions {
  /** CLOCK_BOOTTIME */
  readonly nowMs: number;
  readonly queues: QueuesByCookie;
  /** Every listener, by port. */
  readonly others: OtherListeners;
  /** A group is given up after nothing has listened in it for this long. */
  readonly idleMs: number;
  /** Network namespaces that no longer exist. */
  readonly goneNetns: ReadonlySet<number>;
}

/** Services in their order; indexed by port, as a host may have many services and many groups. */
export class ServicesByPort {
  readonly #byPort = new Map<number, Service[]>();
  /** Those of every port. */
  readonly #everywhere: readonly Service[];

  constructor(services: readonly Service[]) {
    this.#everywhere = services.filter((service) => service.coversEveryPort);
    const ports = new Set(services.flatMap((service) => service.ports));
    for (const port of ports) this.#byPort.set(port, []);
    for (const service of services) {
      const own = service.coversEveryPort ? ports : new Set(service.ports);
      for (const port of own) this.#byPort.get(port)?.push(service);
    }
  }

  /** Returns the services with a SPEC of this port, or of every port. */
  at(port: number): readonly Service[] {
    return this.#byPort.get(port) ?? this.#everywhere;
  }
}

/** Returns the match of the first service that covers the group; null if none does. */
function matchOwner(
  name: string,
  members: readonly Listener[],
  services: ServicesByPort,
): OwnedMatch | null {
  const [first] = members;
  for (const owner of first ? services.at(first.key.port) : []) {
    const service = owner.nameFor(members);
    if (service !== null) return { name, service, members, owner };
  }
  return null;
}

/** Returns the matches of all groups, except those of which `isLeftOut` is true. */
export function matchOwners(
  groups: ReadonlyMap<string, readonly Listener[]>,
  services: ServicesByPort,
  isLeftOut: (name: string) => boolean = () => false,
): OwnedMatch[] {
  const matches: OwnedMatch[] = [];
  for (const [name, members] of groups) {
    const match = isLeftOut(name) ? null : matchOwner(name, members, services);
    if (match) matches.push(match);
  }
  return matches;
}

/**
 * Returns the owner of a managed group after the services were replaced; null if none covers it.
 * The owner so far keeps the group if it still exists. Where nothing listens, a service of the same
 * label can take its place.
 */
export function nextOwner(
  { managed, service }: ManagedEntry,
  members: readonly Listener[],
  services: ServicesByPort,
): Service | null {
  const isEmpty = managed.isEmpty(members);
  const { key } = managed.group.record;
  const canOwn = (next: Service) => {
    if (next === service) return true;
    if (!isEmpty) return next.nameFor(members) !== null;
    return next.label === service?.label && next.nameAt(key) !== null;
  };
  return services.at(key.port).find(canOwn) ?? null;
}

/**
 * A group in which nothing ever migrated is given up after nothing has listened in it for this long:
 * its counts are worth little, and any user can make many of them.
 */
const UNUSED_MS = 10_000;

/** Returns why the group is given up, or null to keep it. */
export function reasonToGiveUp(
  { managed }: ManagedEntry,
  members: readonly Listener[],
  { nowMs, idleMs, goneNetns }: PassConditions,
): string | null {
  const isGone = goneNetns.has(managed.group.record.key.netns) && managed.isEmpty(members);
  if (isGone) return "its network namespace is gone";
  const emptyMs = managed.idleMs(nowMs);
  if (emptyMs > idleMs) return "nothing has listened for long";
  return emptyMs > UNUSED_MS && !managed.hasMigrated
    ? "nothing has listened for a while, and nothing ever migrated"
    : null;
}

/** Returns a listener of another group that gets this one's clients if it has none; or null. */
export function servingInstead(
  { holds, group }: ManagedGroup,
  { others }: PassConditions,
): Listener | null {
  return holds ? others.servesInstead(group.record.key, isStandby) : null;
}
