/** Whose a group is: the first of the services that covers it. */
import type { Listener } from "../core/listener.ts";
import type { Service } from "./service.ts";

/** A group to take on, and the service that is to have it. */
export interface Assigned {
  readonly name: string;
  /** As the group's record says it. */
  readonly service: string;
  readonly members: readonly Listener[];
  readonly owner: Service;
}

/** The first of the services that covers a group; null: none. */
export function assign(
  name: string,
  members: readonly Listener[],
  services: ServicesByPort,
): Assigned | null {
  const [first] = members;
  for (const owner of first ? services.at(first.key.port) : []) {
    const service = owner.nameFor(members);
    if (service !== null) return { name, service, members, owner };
  }
  return null;
}

/** Services in order; found by port, as a host may have many of both. */
export class ServicesByPort {
  readonly #byPort = new Map<number, Service[]>();

  constructor(services: readonly Service[]) {
    for (const service of services) {
      for (const port of new Set(service.ports)) {
        const there = this.#byPort.get(port);
        if (there) there.push(service);
        else this.#byPort.set(port, [service]);
      }
    }
  }

  /** Those with a SPEC of this port. */
  at(port: number): readonly Service[] {
    return this.#byPort.get(port) ?? [];
  }
}
