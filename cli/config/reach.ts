/** Services that could never have a group, since one before them has all they name. */

import type { Spec } from "../../loader/core/spec.ts";
import type { Filter } from "../../loader/observe/coverage.ts";
import type { ServiceOptions } from "../../loader/sidecar/service.ts";
import type { Value } from "./document.ts";
import type { NamedService } from "./service_entry.ts";

interface Read {
  readonly service: NamedService;
  /** Where its SPECs stand. */
  readonly listen: readonly Value[];
}

/** Says it of each SPEC that a service before takes away whole. */
export function noteUnreachable(all: readonly Read[]): void {
  for (const [i, { service, listen }] of all.entries()) {
    for (const [n, spec] of service.options.specs.entries()) {
      const taker = all
        .slice(0, i)
        .find(({ service: { options } }) => takes(options, spec, service));
      if (!taker) continue;
      const { name } = taker.service;
      listen[n]?.note(
        `${spec.text} never reaches this service: '${name}', before it, names the same with no narrower filter; put this one first, or narrow '${name}'`,
      );
    }
  }
}

function takes(before: ServiceOptions, spec: Spec, { options }: NamedService): boolean {
  const names = before.specs.some(
    ({ port, address, family }) =>
      port === spec.port &&
      (address === null || (address === spec.address && family === spec.family)),
  );
  if (!names) return false;
  const { pid, cgroup }: Filter = before.filter ?? {};
  const within = options.filter ?? {};
  return (
    (before.netns === undefined || before.netns === options.netns) &&
    (pid === undefined || pid === within.pid) &&
    (cgroup === undefined || isBelow(within.cgroup, cgroup))
  );
}

function isBelow(path: string | undefined, ancestor: string): boolean {
  return path === ancestor || path?.startsWith(`${ancestor.replace(/\/$/, "")}/`) === true;
}
