/** Which managed groups a pass refreshes. */
import type { BackOff } from "../core/back_off.ts";
import type { Listener } from "../core/listener.ts";
import { hasChanged, isDue } from "../manage/refresh_schedule.ts";
import { type ManagedEntry, type PassConditions, reasonToGiveUp } from "../service/ownership.ts";

/** Of a managed group whose refresh fails: its clients wait for it. */
export const REFRESH_TIMES = { firstMs: 200, longestMs: 10_000, changedMs: 200 };

const NONE: readonly Listener[] = [];

/**
 * Returns the names of the groups to refresh; first those whose listeners changed.
 * @param groups members by the name of their group
 * @param failures groups whose last refresh failed
 */
export function dueGroups(
  entries: ReadonlyMap<string, ManagedEntry>,
  groups: ReadonlyMap<string, readonly Listener[]>,
  conditions: PassConditions,
  failures: BackOff,
): string[] {
  const changed: string[] = [];
  const unchanged: string[] = [];
  const { nowMs, queues } = conditions;
  for (const [name, entry] of entries) {
    const { last, options } = entry.managed;
    const members = groups.get(name) ?? NONE;
    if (entry.service && !failures.isDue(name, members, nowMs)) continue;
    const isDueNow = () =>
      options !== entry.service?.manage ||
      entry.managed.hold.hasRefusedBind ||
      isDue(last, members, queues, nowMs) ||
      reasonToGiveUp(entry, members, conditions) !== null;
    if (hasChanged(last, members, queues)) changed.push(name);
    else if (isDueNow()) unchanged.push(name);
  }
  return [...changed, ...unchanged];
}
