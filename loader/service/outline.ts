/** What a sidecar guards, in short. Makes no system call: it is asked for at every poll. */
import { splitStandby } from "../hold/members.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
import { placeOfGroup } from "../observe/netns_label.ts";

export interface Outline {
  readonly groups: number;
  readonly listeners: number;
  /** The addresses of groups whose clients are held. */
  readonly holding: readonly string[];
  /** Why SPECs cover no group: one sentence for each. */
  readonly unguarded: readonly string[];
}

export function outlineOf(managed: Iterable<ManagedGroup>, unguarded: readonly string[]): Outline {
  let [groups, listeners] = [0, 0];
  const holding: string[] = [];
  for (const { group, holds, last } of managed) {
    groups++;
    listeners += splitStandby(group, last?.members ?? []).listeners.length;
    if (holds && group.standby.heldSinceMs !== null) holding.push(placeOfGroup(group.name));
  }
  return { groups, listeners, holding, unguarded };
}
