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
  { plan, closed, reattached }: Refreshed,
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
  for (const { slot, generation } of closed) {
    const fields = { slot, generation };
    say("listener_closed", `listener in slot ${slot}, generation ${generation} closed`, fields);
  }
}

/** Listeners for which there is no slot, as a warning; null: all have one. */
export function slotsWarning({ group, label }: ManagedGroup, { plan }: Refreshed): string | null {
  const n = plan.waiting.length;
  if (n === 0) return null;
  return `${label}: ${n} listeners have no slot (there are ${group.record.slots}) and are left to the kernel's hash: detach and attach again to make room`;
}
