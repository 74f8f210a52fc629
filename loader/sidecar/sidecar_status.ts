/** Status of what a sidecar manages: at once, or in slices, as that of a thousand groups takes a while. */
import { setImmediate as turn } from "node:timers/promises";
import type { PinTree } from "../bpf/pin_tree.ts";
import { kernelCountsInSteps } from "../net/kernel_migrations.ts";
import type { Observer } from "../observe/observer.ts";
import type { Snapshot } from "../observe/snapshot.ts";
import type { GroupStatus, Status } from "../operate/status.ts";
import { atOnce, inSlices } from "../time_slices.ts";
import type { ManagedGroups } from "./managed_groups.ts";
import type { Reconciler } from "./reconciler.ts";
import type { Service } from "./service.ts";

interface StatusContext {
  readonly pinTree: PinTree;
  readonly observer: Observer;
  readonly passes: Reconciler;
}

type Managed = readonly [groups: ManagedGroups, services: readonly Service[]];

export function sidecarStatus(place: StatusContext, ...managed: Managed): Status {
  const groups: GroupStatus[] = [];
  const rest = atOnce(steps(place, place.observer.snapshot(), ...managed), (group) => {
    if (group) groups.push(group);
  });
  return { ...rest, groups };
}

/** Tells each group as soon as it is read, and keeps none: thousands of them are a lot. */
export async function tellSidecarStatus(
  place: StatusContext,
  each: (group: GroupStatus) => void,
  ...managed: Managed
): Promise<Status> {
  const { observer } = place;
  const observed = observer.isSlow ? await observer.snapshotBeside() : observer.snapshot();
  await turn();
  return inSlices(steps(place, observed, ...managed), (group) => {
    if (group) each(group);
  });
}

/** A group, or null: a moment at which others may have their turn. */
function* steps(
  { pinTree, passes }: StatusContext,
  observed: Snapshot,
  managed: ManagedGroups,
  services: readonly Service[],
): Generator<GroupStatus | null, Status> {
  yield null;
  if (passes.isBehind) managed.invalidatePins();
  const errors = yield* managed.status(observed);
  const adoptions = services.flatMap((service) => service.adoptionStatus(pinTree));
  const kernel = yield* kernelCountsInSteps(managed.members(observed.groups));
  return { groups: [], adoptions, unmanaged: [], kernel, errors };
}
