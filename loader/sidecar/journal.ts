/** What a sidecar logs about its groups. */
import type { HoldResult, SettingsPolicy } from "../core/abi.ts";
import type { GroupMatch, Listener } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import type { GroupRecord } from "../group/group_record.ts";
import type { Journal, SidecarEvent } from "../log.ts";
import type { HoldEvent } from "../manage/hold_runner.ts";
import type { Refreshed } from "../manage/manage_options.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
import { mptcpOf } from "../manage/members.ts";

/** Sentences for the end of a hold. */
const HOW: Readonly<Record<HoldResult, string>> = {
  handed_over: "handed over",
  expired: "nothing listened in time; the hold ended",
  released: "the hold was released",
};

/** What different socket options mean for migrating connections, by policy. */
const WHAT_THEN: Readonly<Record<SettingsPolicy, string>> = {
  prefer: "connections migrate between them only if there is no other target",
  strict: "connections do not migrate between them, and are dropped if there is no other target",
  ignore: "connections migrate between them nevertheless",
};

export function takenOn(
  journal: Journal,
  { isNew, label, group }: ManagedGroup,
  { service, members }: GroupMatch,
): void {
  const event = isNew ? "attached" : "taken_over";
  const count = members.length;
  journal.say(
    event,
    `${isNew ? "attached" : "took over"} ${label}: ${count} listener${count === 1 ? "" : "s"}, program ${group.programId}`,
    { group: group.name, service, listeners: count, program_id: group.programId },
  );
}

export function policyChanged(journal: Journal, { label, group }: ManagedGroup): void {
  const { service, migrate, route, hold } = group.record;
  const holds = hold ? `, hold ${hold.timeMs / 1000} s` : "";
  const text = `${label} has the policy of ${service}: migrate ${migrate}, route ${route}${holds}`;
  journal.say("policy_changed", text, { group: group.name, service, migrate, route });
}

/** Logs what a refresh changed. */
export function refreshed(
  journal: Journal,
  managed: ManagedGroup,
  members: readonly Listener[],
  found: Refreshed,
): void {
  const { group, label } = managed;
  const { plan, reattached } = found;
  const say = (event: string, text: string, fields: SidecarEvent["fields"] = {}) =>
    journal.say(event, `${label}: ${text}`, { group: group.name, ...fields });

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
  if (found.hold) holdChanged(journal, managed, found.hold);
  for (const { classes, names } of found.optionDifferences) {
    journal.warn(
      `${group.name} classes ${classes.join(" ")}`,
      `${label}: listeners of settings classes ${classes.join(" and ")} differ in ${names.join(", ")}; ${WHAT_THEN[group.record.settings]}`,
    );
  }
  const lasting = `${group.name} lasting`;
  const warnings = warningsOf(managed, members, found);
  if (warnings.length > 0) journal.warn(lasting, warnings.join("; "));
  else journal.settled(lasting);
}

/** Logs that a hold began or ended. */
function holdChanged(journal: Journal, { group, label }: ManagedGroup, hold: HoldEvent): void {
  const { started, ended, connections, heldMs } = hold;
  const { timeMs = 0 } = group.record.hold ?? {};
  const fields = { group: group.name, connections, held_ms: heldMs };
  if (started) {
    const text = `${label}: nothing listens; holding for up to ${timeMs / 1000} s`;
    journal.say("hold_started", text, fields);
  } else if (ended) {
    const text = `${label}: ${HOW[ended]} after ${heldMs / 1000} s, connections: ${connections}`;
    journal.say("hold_ended", text, { ...fields, result: ended });
  }
}

/** Returns conditions that last until an operator acts, one sentence each. */
function warningsOf(
  managed: ManagedGroup,
  members: readonly Listener[],
  refreshed: Refreshed,
): string[] {
  const { group, label } = managed;
  const warnings = refreshed.warnings.map((text) => `${label}: ${text}`);
  warnings.push(
    ...starved(group.record, members, refreshed.plan).map((text) => `${label}: ${text}`),
  );
  const waiting = refreshed.plan.unplaced.length;
  if (waiting > 0) {
    const have = `there are ${group.record.slots}`;
    warnings.push(
      `${label}: ${waiting} listeners have no slot (${have}) and get connections by the kernel's hash only: detach and attach again`,
    );
  }
  if (refreshed.unreachable) {
    warnings.push(
      `${label}: not attached: every process that held a listener exited before its socket could be duplicated`,
    );
  }
  return warnings;
}

/** Returns what MPTCP listeners lose by the policy: only the kernel's hash reaches them. */
function starved(
  { settings, migrate, hold }: GroupRecord,
  members: readonly Listener[],
  { targets }: Plan,
): string[] {
  const count = mptcpOf(members).length;
  if (count === 0) return [];
  const texts: string[] = [];
  const who = `MPTCP listeners (${count})`;
  if (!hold && (targets.syn.length > 0 || targets.refuse)) {
    texts.push(
      `${who} get no new connections: targets are selected (--route newest, or a drain), and only the kernel's hash reaches MPTCP`,
    );
  }
  if (settings === "strict" && (migrate === "newest" || migrate === "any")) {
    texts.push(
      `${who} lose their connections when they close, unless every other listener has the same socket options: theirs cannot be compared (--settings strict)`,
    );
  }
  return texts;
}
