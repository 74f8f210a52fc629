/** Finds services that can never have a group, because an earlier one covers all their SPECs. */

import { matchesSpec, type Spec } from "../../loader/core/spec.ts";
import { isBelow } from "../../loader/host/cgroup.ts";
import { ALL } from "../../loader/net/netns_inode.ts";
import type { Filter } from "../../loader/observe/coverage.ts";
import type { ServiceOptions } from "../../loader/service/service.ts";
import type { NamedService } from "../options/service.ts";
import type { Value } from "./document.ts";

/** A service, and its SPECs in the file. */
export interface ServiceInFile {
  readonly service: NamedService;
  readonly listen: readonly Value[];
}

/** Notes each SPEC that an earlier service covers. */
export function noteUnreachable(all: readonly ServiceInFile[]): void {
  for (const [i, { service, listen }] of all.entries()) {
    for (const [n, spec] of service.options.specs.entries()) {
      const earlier = all
        .slice(0, i)
        .find(({ service: { options } }) => covers(options, spec, service.options));
      if (!earlier) continue;
      const { name } = earlier.service;
      listen[n]?.note(
        `${spec.text} never reaches this service: '${name}', before it, names the same with no narrower filter; put this one first, or narrow '${name}'`,
      );
    }
  }
}

function coversSpec(earlier: Spec, later: Spec): boolean {
  const { family, address, port } = later;
  if (family !== null && address !== null && port !== null) {
    return matchesSpec(earlier, { family, address, port });
  }
  const { except = [] } = earlier;
  if (earlier.text === later.text) return except.length === 0;
  return earlier.port === null && except.every((each) => each.port !== port);
}

function covers(earlier: ServiceOptions, spec: Spec, later: ServiceOptions): boolean {
  const names = earlier.specs.some((each) => coversSpec(each, spec));
  const { pid, cgroup }: Filter = earlier.filter ?? {};
  return (
    names &&
    (earlier.netns === ALL || earlier.netns === later.netns) &&
    (pid === undefined || pid === later.filter?.pid) &&
    (cgroup === undefined || isBelow(later.filter?.cgroup ?? null, cgroup))
  );
}
