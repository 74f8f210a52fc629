/** reload: what other services mean for those there are. */
import { isDeepStrictEqual } from "node:util";
import type { Service, ServiceOptions } from "./service.ts";

/** What a reload did, by the services' names. */
export interface Reloaded {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  readonly unchanged: readonly string[];
}

export interface ServiceDiff {
  /** From now on, in order; those that are the same are the same object. */
  readonly services: readonly Service[];
  /** Those that are no more, or not so any more. */
  readonly retired: readonly Service[];
  readonly report: Reloaded;
}

/** Which services stay, come and go. @param make makes one that is new or another */
export function diffServices(
  before: readonly Service[],
  wanted: readonly ServiceOptions[],
  make: (options: ServiceOptions) => Service,
): ServiceDiff {
  const same = (options: ServiceOptions) =>
    before.find((own) => isDeepStrictEqual(own.options, options));
  const services = wanted.map((options) => same(options) ?? make(options));
  const retired = before.filter((own) => !services.includes(own));
  const fresh = services.filter((own) => !before.includes(own));
  const named = (list: readonly Service[], { label }: Service) =>
    list.some((own) => own.label === label);
  const labels = (list: readonly Service[]) => list.map(({ label }) => label);
  const report = {
    added: labels(fresh.filter((own) => !named(retired, own))),
    changed: labels(fresh.filter((own) => named(retired, own))),
    removed: labels(retired.filter((own) => !named(fresh, own))),
    unchanged: labels(services.filter((own) => before.includes(own))),
  };
  return { services, retired, report };
}
