/** Status of what a sidecar manages: at once, or in slices, as that of a thousand groups takes a while. */
import type { ManagedGroups } from "./managed_groups.ts";
import { kernelCountsInSteps } from "./netstat.ts";
import type { Observed } from "./observation.ts";
import type { Observer } from "./observe.ts";
import type { Service } from "./service.ts";
import { atOnce, inSlices } from "./slices.ts";
import type { State } from "./state.ts";
import type { Status } from "./status.ts";

interface Place {
  readonly state: State;
  readonly observer: Observer;
}

type Managed = readonly [groups: ManagedGroups, services: readonly Service[]];

export function sidecarStatus({ state, observer }: Place, ...managed: Managed): Status {
  return atOnce(steps(state, observer.observe(), ...managed));
}

export async function sidecarStatusInSlices(
  { state, observer }: Place,
  ...managed: Managed
): Promise<Status> {
  const slow = observer.isSlow;
  return inSlices(
    steps(state, slow ? await observer.observeBeside() : observer.observe(), ...managed),
  );
}

function* steps(
  state: State,
  observed: Observed,
  managed: ManagedGroups,
  services: readonly Service[],
): Generator<void, Status> {
  yield;
  const { groups, errors } = yield* managed.status(observed.groups);
  const adoptions = services.flatMap((service) => service.adoptionStatus(state));
  const kernel = yield* kernelCountsInSteps(groups);
  return { groups, adoptions, unmanaged: [], kernel, errors };
}
