/** Which service owns a group, and when a managed group is given up. */

import type { GroupMatch, Listener, QueuesByCookie } from "../core/listener.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
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
  /** A group is given up after nothing has listened in it for this long. */
  readonly idleMs: number;
  /** Network namespaces that no longer exist. */
  readonly goneNetns: ReadonlySet<number>;
}

/** Services in their order; indexed by port, as a host may have many services and many groups. */
export class ServicesByPort {
  readonly #byPort = new Map<number, Service[]>();

  constructor(services: readonly Service[]) {
    for (const service of services) {
      for (const port of new Set(service.ports)) {
        const known = this.#byPort.get(port);
        if (known) known.push(service);
        else this.#byPort.set(port, [service]);
      }
    }
  }

  /** Returns the services with a SPEC of this port. */
  at(port: number): readonly Service[] {
    return this.#byPort.get(port) ?? [];
  }
}

/** Returns the match of the first service that covers the group; null if none does. */
export function matchOwner(
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

/** Returns why the group is given up, or null to keep it. */
export function reasonToGiveUp(
  { managed }: ManagedEntry,
  members: readonly Listener[],
  { nowMs, idleMs, goneNetns }: PassConditions,
): string | null {
  const isGone = goneNetns.has(managed.group.record.key.netns) && managed.isEmpty(members);
  if (isGone) return "its network namespace is gone";
  return managed.idleMs(nowMs) > idleMs ? "nothing has listened for long" : null;
}
