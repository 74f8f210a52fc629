/** Status as text. Pure. */

import type { AdoptionStatus } from "../../loader/adoption/adoption_status.ts";
import { formatEndpoint } from "../../loader/core/address.ts";
import type { Listener } from "../../loader/core/listener.ts";
import type { GroupStatus, ListenerStatus, Status } from "../../loader/operate/status.ts";
import { type Rate, rateText } from "./decisions.ts";
import { table } from "./table.ts";

function ownersText(owners: ListenerStatus["owners"]): string {
  const [first] = owners;
  const more = new Set(owners.map(({ pid }) => pid)).size - 1;
  return first ? `${first.pid} ${first.comm}${more > 0 ? ` +${more}` : ""}` : "-";
}

/** `holding 7.2s left, 143 connections`, or the policy of a standby; no line without --hold. */
function holdText({ hold }: GroupStatus): string[] {
  if (!hold) return [];
  if (hold.leftMs !== null) {
    const left = (hold.leftMs / 1000).toFixed(1);
    return [`  holding ${left}s left, ${hold.connections} connections`];
  }
  const upTo = `hold ${hold.timeMs / 1000}s, ${hold.max} connections at most`;
  return [`  ${upTo}; ${hold.standby ? "a standby listens" : "no standby listens"}`];
}

/** The number of MPTCP listeners, which a program cannot select; no line if there are none. */
function mptcpText({ listeners }: GroupStatus): string[] {
  const count = listeners.filter(({ protocol }) => protocol === "mptcp").length;
  if (count === 0) return [];
  return [`  ${count} MPTCP listener${count === 1 ? "" : "s"}: reached by the kernel's hash only`];
}

function groupText(group: GroupStatus, rate?: Rate): string[] {
  const { key } = group;
  const where = formatEndpoint(key.family, key.address, key.port);
  const lacks = group.listeners.length > 0 ? "attach again" : "nothing listens";
  const state = group.attached ? `attached, program ${group.programId}` : `not attached: ${lacks}`;
  const by = group.sidecar === null ? "no sidecar is running" : `sidecar ${group.sidecar}`;
  const rows = group.listeners.map((l) => [
    String(l.slot ?? "-"),
    String(l.generation ?? "-"),
    l.role,
    ownersText(l.owners),
    `${l.queueLength}/${l.queueLimit}`,
    String(l.halfOpen),
    String(l.class ?? "-"),
    String(l.migratedInto),
  ]);
  const header = [
    "slot",
    "generation",
    "role",
    "owner",
    "queue",
    "half-open",
    "class",
    "migrated into",
  ];
  const decisions = group.decisions.map((d) => [
    d.stage,
    d.reason ? `${d.outcome} (${d.reason})` : d.outcome,
    String(d.count),
    ...(rate ? [rateText(rate(group, d))] : []),
  ]);
  const counted = ["stage", "outcome", "count", ...(rate ? ["per s"] : [])];
  const indent = (lines: string[]) => lines.map((line) => `    ${line}`);
  return [
    `${where}  service ${group.service}, netns ${key.netns}, uid ${group.uid}`,
    `  ${state}; migrate ${group.migrate}, route ${group.route}, settings ${group.settings}; ${by}`,
    ...holdText(group),
    ...mptcpText(group),
    ...group.optionDifferences.map(
      ({ classes, names }) => `  classes ${classes.join(" and ")} differ in ${names.join(", ")}`,
    ),
    ...(rows.length > 0 ? ["  listeners", ...indent(table(header, rows))] : []),
    ...(decisions.length > 0
      ? ["  decisions", ...indent(table(counted, decisions))]
      : ["  no decisions yet"]),
  ];
}

function unmanagedText(listener: Listener): string {
  const { key } = listener;
  return `  ${formatEndpoint(key.family, key.address, key.port)}  ${ownersText(listener.owners)}, netns ${key.netns}`;
}

function adoptionText({ cgroup, inForce, ports }: AdoptionStatus): string {
  const rows = ports.map(({ port, binds, failed }) => [port, binds, failed].map(String));
  return [
    `adopted cgroup ${cgroup}`,
    ...(inForce ? [] : ["  not in force: its parent cgroup was removed; attach again"]),
    ...table(["port", "binds", "failed"], rows).map((line) => `    ${line}`),
  ].join("\n");
}

/** Returns what `status` prints; with `rate`, also decisions a second. */
export function statusText(status: Status, rate?: Rate): string {
  const blocks = status.groups.map((group) => groupText(group, rate).join("\n"));
  if (status.groups.length === 0) blocks.push("nothing is attached");
  blocks.push(...status.adoptions.map(adoptionText));
  if (status.unmanaged.length > 0) {
    blocks.push(["listening, not attached", ...status.unmanaged.map(unmanagedText)].join("\n"));
  }
  return blocks.join("\n\n");
}
