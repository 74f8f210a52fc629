/** What a sidecar logs about its groups. */
import type { SettingsPolicy } from "../core/abi.ts";
import type { GroupMatch, Listener } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import type { GroupRecord } from "../group/group_record.ts";
import { holdEndText, isLoss } from "../hold/hold_event.ts";
import { mptcpOf } from "../hold/members.ts";
import { ownerText } from "../host/cgroup_label.ts";
import type { EventName, Journal, SidecarEvent } from "../log.ts";
import type { News } from "../manage/group_news.ts";
import type { Origin, Refreshed } from "../manage/manage_options.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
import { movesText } from "../manage/moves_text.ts";
import { groupOwners } from "../observe/group_owners.ts";

/** What different socket options mean for migrating connections, by policy. */
const WHAT_THEN: Readonly<Record<SettingsPolicy, string>> = {
  prefer: "connections migrate between them only if there is no other target",
  strict: "connections do not migrate between them, and are dropped if there is no other target",
  ignore: "connections migrate between them nevertheless",
};

export function takenOn(
  journal: Journal,
  { origin, label, group }: ManagedGroup,
  { service, members }: GroupMatch,
): void {
  const event = origin === "new" ? "attached" : "taken_over";
  const count = members.length;
  const [owner] = groupOwners(members);
  const { unit = null, container = null, pod = null } = owner ?? {};
  const of = owner ? ` of ${ownerText(owner)}` : "";
  journal.say(
    event,
    `${origin === "new" ? "attached" : "took over"} ${label}${of}${fromOther(origin)}: ${count} listener${count === 1 ? "" : "s"}, program ${group.programId}`,
    {
      group: group.name,
      service,
      listeners: count,
      program_id: group.programId,
      unit,
      container,
      pod,
    },
  );
}

/** Returns from which other version a group was taken over, and what is lost by that. */
function fromOther(origin: Origin): string {
  if (typeof origin === "string") return "";
  const { replacedAbi } = origin;
  return replacedAbi === null
    ? " from pins that cannot be read (counters, generations and drained listeners begin anew)"
    : ` from another version (ABI ${replacedAbi}; counters begin anew)`;
}

/** @param others number of groups that are managed still */
export function detachedElsewhere(
  journal: Journal,
  { label, group }: ManagedGroup,
  others: number,
): void {
  const text = `${label} was detached by another command; leaving it alone`;
  journal.say("detached_elsewhere", text, { group: group.name });
  if (others > 0) return;
  journal.warn(
    "detached",
    "no group is left, as other commands detached them: restart the sidecar to attach them again",
  );
}

/** Logs that a sidecar ends and leaves its groups attached. */
export function left(journal: Journal, count: number): void {
  if (count === 0) return;
  const groups = `${count} group${count === 1 ? "" : "s"}`;
  const text = `left attached: ${groups}; 'reuseport-migrate detach --all' gives them back`;
  journal.say("left_attached", text, { groups: count });
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
  const say = (event: EventName, text: string, fields: SidecarEvent["fields"] = {}) =>
    journal.say(event, `${label}: ${text}`, { group: group.name, ...fields });

  if (found.hasGrown) {
    const { slots } = group.record;
    say("grown", `the group has ${slots} slots now`, { slots, program_id: group.programId });
  }
  if (reattached) say("reattached", "the group was re-created; attached again");
  for (const { cookie, slot, generation } of plan.added) {
    const owner = members.find((member) => member.cookie === cookie)?.owners[0];
    const who = `${owner?.comm} (pid ${owner?.pid})`;
    const fields = { slot, generation, pid: owner?.pid ?? null };
    say("listener_added", `listener of ${who} has slot ${slot}, generation ${generation}`, fields);
  }
  for (const { slot, generation, closedMs, class: number, incomingCpu } of plan.changed) {
    const where = `listener in slot ${slot}, generation ${generation}`;
    const fields = { slot, generation, class: number };
    if (closedMs !== null) say("listener_closed", `${where} closed`, fields);
    else {
      const cpu = incomingCpu < 0 ? "" : ` and SO_INCOMING_CPU ${incomingCpu}`;
      say("listener_changed", `${where} listens with settings class ${number}${cpu}`, fields);
    }
  }
  holdChanged(journal, managed);
  tellNews(journal, managed, found.news);
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

/** Logs what connections and other commands did. */
function tellNews(journal: Journal, { group, label }: ManagedGroup, news: News): void {
  const { migrate, route, settings } = group.record;
  const say = (event: EventName, text: string, fields: SidecarEvent["fields"]) =>
    journal.say(event, `${label}: ${text}`, { group: group.name, ...fields });
  if (news.policyBefore) {
    const { migrate: before, route: was, settings: had } = news.policyBefore;
    const text = `another command changed the policy to migrate ${migrate}, route ${route}, settings ${settings}; it was ${before}, ${was}, ${had}`;
    say("policy_changed", text, { service: group.record.service, migrate, route });
  }
  for (const [event, places] of [
    ["drained", news.drained] as const,
    ["undrained", news.undrained] as const,
  ]) {
    for (const { pid, generation } of places) {
      const text = `another command ${event} the listener of pid ${pid}, generation ${generation}`;
      say(event, text, { pid, generation });
    }
  }
  if (news.moves) {
    const { queued: accept_queue, handshakes, byKernel: by_kernel, dropped } = news.moves;
    const counts = { accept_queue, handshakes, by_kernel, dropped };
    say("moved", movesText(news.moves, migrate), counts);
  }
}

/** Logs that holds began or ended, and that standbys with connections closed. */
export function holdChanged(journal: Journal, { group, label, hold }: ManagedGroup): void {
  const { timeMs = 0 } = group.record.hold ?? {};
  for (const event of hold.takeEvents()) {
    if (event === "started") {
      const text = `${label}: nothing listens; holding for up to ${timeMs / 1000} s`;
      journal.say("hold_started", text, { group: group.name });
      continue;
    }
    const { result, heldMs, connections } = event;
    const fields = { group: group.name, result, held_ms: heldMs, ...connections };
    const level = isLoss(event) ? "warn" : "info";
    journal.say("hold_ended", `${label}: ${holdEndText(event, timeMs)}`, fields, level);
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
  const unplaced = unplacedText(group.record, refreshed);
  if (unplaced !== null) warnings.push(`${label}: ${unplaced}`);
  if (refreshed.unreachable) {
    warnings.push(
      `${label}: not attached: every process that held a listener exited before its socket could be duplicated`,
    );
  }
  return warnings;
}

/** Returns what it means that listeners have no slot; null if all have one. */
function unplacedText(
  { slots, hold }: GroupRecord,
  { plan, growthFailure }: Refreshed,
): string | null {
  const count = plan.unplaced.length;
  if (count === 0) return null;
  const why =
    growthFailure === null
      ? `a group has ${slots} at most`
      : `there are ${slots}, and the group could not grow: ${growthFailure}`;
  const then = hold
    ? "they get no new connections until the hold that is under way has ended"
    : "the kernel's hash chooses among all listeners, also drained ones and those of older generations, and there is no standby";
  return `${count} listeners have no slot (${why}): ${then}`;
}

/** Returns what listeners lose by the policy that only the kernel's hash reaches. */
function starved(
  { settings, migrate, hold }: GroupRecord,
  members: readonly Listener[],
  { targets, unplaced }: Plan,
): string[] {
  const mptcp = mptcpOf(members).length;
  const texts: string[] = [];
  const who = `MPTCP listeners (${mptcp})`;
  if (mptcp > 0 && !hold && (targets.syn.length > 0 || targets.refuse)) {
    texts.push(
      `${who} get no new connections: targets are selected (--route newest, or a drain), and only the kernel's hash reaches MPTCP`,
    );
  }
  const losers = [
    ...(mptcp > 0 ? [who] : []),
    ...(unplaced.length > 0 ? ["listeners without a slot"] : []),
  ];
  const isStrict = settings === "strict" && (migrate === "newest" || migrate === "any");
  for (const each of isStrict ? losers : []) {
    texts.push(
      `${each} lose their connections when they close, unless every other listener has the same socket options: theirs cannot be compared (--settings strict)`,
    );
  }
  return texts;
}
