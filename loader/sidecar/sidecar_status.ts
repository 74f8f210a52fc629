/** Status of the groups that a sidecar manages. The event loop turns meanwhile (bench row 12). */

import { countsRuns } from "../bpf/program.ts";
import { hungOwners } from "../lender/lender.ts";
import { message } from "../log.ts";
import { kernelCounts } from "../net/kernel_migrations.ts";
import { placeOfGroup } from "../observe/netns_label.ts";
import { type GroupStatus, groupStatus, type Status } from "../operate/status.ts";
import type { Service } from "../service/service.ts";
import { TimeSlices } from "../time_slices.ts";
import type { Running } from "./running.ts";

/** @param each called with each group as soon as it is read */
export async function sidecarStatus(
  { pinTree, observer, groups, reconciler, events, wakeups }: Running,
  services: readonly Service[],
  each: (group: GroupStatus) => void,
): Promise<Omit<Status, "groups">> {
  const snapshot = await observer.snapshot();
  const membersOf = (name: string) => snapshot.groups.get(name) ?? [];
  if (reconciler.hasForeignChanges) groups.invalidatePins();
  const slices = new TimeSlices();
  const errors: string[] = [];
  const owned = [];
  const common = { queues: snapshot.queues, sidecar: process.pid, countsRuns: countsRuns() };
  for (const { group } of groups.all) {
    const { name } = group;
    if (!groups.has(name)) continue; // dropped meanwhile
    try {
      each(groupStatus(group, { members: membersOf(name), ...common }));
      owned.push({ key: group.record.key, listeners: membersOf(name) });
    } catch (error) {
      errors.push(`${placeOfGroup(name)}: ${message(error)}`);
    }
    await slices.between();
  }
  const adoptions = services.flatMap((service) => service.adoptionStatus(pinTree));
  const { limits, refusals } = groups.admission;
  const admission = { refused: refusals.counts(), limits, hung: hungOwners().length };
  const { kernelNeverWakes } = wakeups;
  const defect = kernelNeverWakes === null ? {} : { wakeupDefect: kernelNeverWakes };
  const missed = events ? { missedBinds: events.missed } : {};
  const kernel = await kernelCounts(owned);
  const sidecars = [{ pid: process.pid, groups: groups.size }];
  return {
    adoptions,
    unattached: [],
    unmanaged: [],
    sidecars,
    kernel,
    admission,
    services: services.flatMap(({ names }) => names),
    ...defect,
    ...missed,
    errors,
  };
}
