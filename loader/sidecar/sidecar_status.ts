/** Status of the groups that a sidecar manages. The event loop turns meanwhile (bench row 12). */
import { countsRuns } from "../bpf/program.ts";
import { message } from "../log.ts";
import { kernelCounts } from "../net/kernel_migrations.ts";
import { type GroupStatus, groupStatus, type Status } from "../operate/status.ts";
import { TimeSlices } from "../time_slices.ts";
import type { Running } from "./running.ts";
import type { Service } from "./service.ts";

/** @param each called with each group as soon as it is read */
export async function sidecarStatus(
  { pinTree, observer, groups, reconciler }: Running,
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
  for (const name of groups.names) {
    const group = groups.get(name)?.group;
    if (!group) continue; // dropped meanwhile
    try {
      each(groupStatus(group, { members: membersOf(name), ...common }));
      owned.push({ key: group.record.key, listeners: membersOf(name) });
    } catch (error) {
      errors.push(`${name}: ${message(error)}`);
    }
    await slices.between();
  }
  const adoptions = services.flatMap((service) => service.adoptionStatus(pinTree));
  return { adoptions, unmanaged: [], kernel: await kernelCounts(owned), errors };
}
