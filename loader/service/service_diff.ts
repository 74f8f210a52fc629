/** reload: which services are added, changed and removed. */
import { isDeepStrictEqual } from "node:util";
import type { Service, ServiceOptions } from "./service.ts";

/** What a reload did; labels of services. */
export interface Reloaded {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  readonly unchanged: readonly string[];
}

export interface ServiceDiff {
  /** The services after the reload, in order; an unchanged one is the same object. */
  readonly services: readonly Service[];
  /** Services that were removed or changed. */
  readonly retired: readonly Service[];
  readonly report: Reloaded;
}

/** Compares services with the requested ones. @param make makes a service that is new or changed */
export function diffServices(
  before: readonly Service[],
  requested: readonly ServiceOptions[],
  make: (options: ServiceOptions) => Service,
): ServiceDiff {
  const same = (options: ServiceOptions) =>
    before.find((own) => isDeepStrictEqual(own.options, options));
  const services = requested.map((options) => same(options) ?? make(options));
  const retired = before.filter((own) => !services.includes(own));
  const added = services.filter((own) => !before.includes(own));
  const named = (list: readonly Service[], { label }: Service) =>
    list.some((own) => own.label === label);
  const labels = (list: readonly Service[]) => list.map(({ label }) => label);
  const report = {
    added: labels(added.filter((own) => !named(retired, own))),
    changed: labels(added.filter((own) => named(retired, own))),
    removed: labels(retired.filter((own) => !named(added, own))),
    unchanged: labels(services.filter((own) => before.includes(own))),
  };
  return { services, retired, report };
}
