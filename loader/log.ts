/** What a sidecar says of its groups: events for the log. */
import type { Listener } from "./listener.ts";
import type { ManagedGroup, Refreshed } from "./managed.ts";

/** Something worth a line in the log. `fields` are JSON-ready. */
export interface SidecarEvent {
  readonly level: "info" | "warn" | "error";
  readonly event: string;
  readonly text: string;
  readonly fields: Readonly<Record<string, string | number | null>>;
}

export type Log = (event: SidecarEvent) => void;

/** Says what a refresh changed; nothing when nothing did. */
export function logRefreshed(
  log: Log,
  { group, label }: ManagedGroup,
  members: readonly Listener[],
  { plan, reattached }: Refreshed,
): void {
  const say = (event: string, text: string, fields: SidecarEvent["fields"] = {}) =>
    log({
      level: "info",
      event,
      text: `${label}: ${text}`,
      fields: { group: group.name, ...fields },
    });

  if (reattached) say("reattached", "the group was re-created; attached again");
  for (const { cookie, slot, generation } of plan.added) {
    const owner = members.find((member) => member.cookie === cookie)?.owners[0];
    const who = `${owner?.comm} (pid ${owner?.pid})`;
    const fields = { slot, generation, pid: owner?.pid ?? null };
    say("listener_added", `listener of ${who} has slot ${slot}, generation ${generation}`, fields);
  }
  for (const { slot, generation, closedMs, class: number } of plan.changed) {
    const where = `listener in slot ${slot}, generation ${generation}`;
    const fields = { slot, generation, class: number };
    if (closedMs !== null) say("listener_closed", `${where} closed`, fields);
    else say("listener_changed", `${where} listens with settings class ${number}`, fields);
  }
}

/** Conditions that last until somebody acts, as warnings. */
export function warningsOf({ group, label }: ManagedGroup, refreshed: Refreshed): string[] {
  const warnings: string[] = [];
  const waiting = refreshed.plan.waiting.length;
  if (waiting > 0) {
    const have = `there are ${group.record.slots}`;
    warnings.push(
      `${label}: ${waiting} listeners have no slot (${have}) and are left to the kernel's hash: detach and attach again to make room`,
    );
  }
  if (refreshed.unreachable) {
    warnings.push(`${label}: not attached, its owners went away when it was to be borrowed`);
  }
  return warnings;
}
