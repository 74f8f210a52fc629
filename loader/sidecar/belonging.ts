/** Whose a managed group is, and when it is nobody's any more. */

import type { Listener, QueuesByCookie } from "../core/listener.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
import type { ServicesByPort } from "./assign.ts";
import type { Service } from "./service.ts";

/** A group and the service it is managed for; null: none any more, it is to be given back. */
export interface Entry {
  readonly managed: ManagedGroup;
  service: Service | null;
}

/** What a pass goes by beside the members. */
export interface When {
  /** CLOCK_BOOTTIME */
  readonly nowMs: number;
  /** Of the snapshot. */
  readonly queues: QueuesByCookie;
  /** A group is given up in which nothing has listened for so long. */
  readonly idleMs: number;
  /** Namespaces that are gone for good. */
  readonly gone: ReadonlySet<number>;
}

/**
 * Whose a group is when the services are others: the first one's that covers it. Its own service
 * keeps it when it is still there, whatever listens now; where nobody listens, another definition of it does.
 */
export function nextOwner(
  { managed, service }: Entry,
  members: readonly Listener[],
  services: ServicesByPort,
): Service | null {
  const empty = managed.isEmpty(members);
  const { key } = managed.group.record;
  const isNext = (next: Service) => {
    if (next === service) return true;
    if (!empty) return next.nameFor(members) !== null;
    return next.label === service?.label && next.nameAt(key) !== null;
  };
  return services.at(key.port).find(isNext) ?? null;
}

/** null: it is not. */
export function whyGivenUp(
  { managed }: Entry,
  members: readonly Listener[],
  { nowMs, idleMs, gone }: When,
): string | null {
  const lost = gone.has(managed.group.record.key.netns) && managed.isEmpty(members);
  if (lost) return "its network namespace is gone";
  return managed.idleMs(nowMs) > idleMs ? "nothing has listened for long" : null;
}
