/** Status of what a sidecar manages, in steps: that of a thousand groups takes a while. */
import type { ManagedGroups } from "./managed_groups.ts";
import { kernelCounts } from "./netstat.ts";
import type { Observer } from "./observe.ts";
import type { Service } from "./service.ts";
import type { State } from "./state.ts";
import type { Status } from "./status.ts";

export function* sidecarStatus(
  { state, observer }: { readonly state: State; readonly observer: Observer },
  managed: ManagedGroups,
  services: readonly Service[],
): Generator<void, Status> {
  const members = observer.observe().groups;
  yield;
  const { groups, errors } = yield* managed.status(members);
  const adoptions = services.flatMap((service) => service.adoptionStatus(state));
  return { groups, adoptions, unmanaged: [], kernel: kernelCounts(groups), errors };
}
