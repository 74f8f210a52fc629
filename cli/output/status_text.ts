/** Status as text. Pure. */

import type { AdoptionStatus } from "../../loader/adoption/adoption_status.ts";
import { formatEndpoint } from "../../loader/core/address.ts";
import { heldText } from "../../loader/group/hold_record.ts";
import { ownerText } from "../../loader/host/cgroup_label.ts";
import type { GroupStatus, Status } from "../../loader/operate/status.ts";
import { printable } from "../../loader/printable.ts";
import { hanging } from "./columns.ts";
import { decisionWords, type Rate, rateText } from "./decisions.ts";
import { table } from "./table.ts";
import { idleSidecarsText, ownersCell, unattachedText } from "./unattached_text.ts";

/** `holding 7.2s left, 143 connections`, or the policy of a standby; no line without --hold. */
function holdText({ hold }: GroupStatus): string[] {
  if (!hold) return [];
  if (hold.leftMs !== null) {
    const left = (hold.leftMs / 1000).toFixed(1);
    const count = hold.connections;
    return [`  holding ${left}s left, ${count} connection${count === 1 ? "" : "s"}`];
  }
  const upTo = `hold ${hold.timeMs / 1000}s, ${hold.max} connections at most`;
  return [`  ${upTo}; ${hold.standby ? "a standby listens" : "no standby listens"}`];
}

/** What became of the connections of ended holds; no line if there were none. */
function heldSoFar({ holds: { connections } }: GroupStatus): string[] {
  const { handed_over, reset } = connections;
  return handed_over + reset > 0 ? [`  ${heldText(connections)}`] : [];
}

/** The number of MPTCP listeners, which a program cannot select; no line if there are none. */
function mptcpText({ listeners }: GroupStatus): string[] {
  const count = listeners.filter(({ protocol }) => protocol === "mptcp").length;
  if (count === 0) return [];
  return [`  ${count} MPTCP listener${count === 1 ? "" : "s"}: reached by the kernel's hash only`];
}

/** `owned by nginx.service`; no line if no cgroup tells. */
function ownedByText({ ownedBy }: GroupStatus): string[] {
  return ownedBy.length === 0 ? [] : [`  owned by ${ownedBy.map(ownerText).join("; ")}`];
}

/** Returns the rows of listeners. Their classes matter only if there are several. */
function listenersText({ listeners }: GroupStatus): string[] {
  const hasClasses = new Set(listeners.map((l) => l.class).filter((it) => it !== null)).size > 1;
  const header = ["slot", "gen", "role", "owner", "queue", "half-open", "moved"];
  const rows = listeners.map((l) => [
    String(l.slot ?? "-"),
    String(l.generation ?? "-"),
    l.role,
    ownersCell(l.owners),
    `${l.queueLength}/${l.queueLimit}`,
    String(l.halfOpen),
    String(l.migratedInto),
    ...(hasClasses ? [String(l.class ?? "-")] : []),
  ]);
  return rows.length > 0 ? indented(table(hasClasses ? [...header, "class"] : header, rows)) : [];
}

function decisionsText(group: GroupStatus, rate?: Rate): string[] {
  const rows = group.decisions.map((d) => [
    ...decisionWords(d),
    String(d.count),
    ...(rate ? [rateText(rate(group, d))] : []),
  ]);
  if (rows.length === 0) return ["  no connection was decided on yet"];
  const header = ["connections", "became", "count", ...(rate ? ["per s"] : [])];
  return indented(table(header, rows));
}

const indented = (lines: readonly string[]) => lines.map((line) => `  ${line}`);

function groupText(group: GroupStatus, width: number, rate?: Rate): string[] {
  const { key } = group;
  const where = formatEndpoint(key.family, key.address, key.port);
  const lacks = group.listeners.length > 0 ? "attach again" : "nothing listens";
  const state = group.attached ? `attached, program ${group.programId}` : `not attached: ${lacks}`;
  const by = group.sidecar === null ? "no sidecar is running" : `sidecar ${group.sidecar}`;
  const facts = [
    `${where}  service ${group.service}, netns ${netnsText(group)}, uid ${group.uid}`,
    ...ownedByText(group),
    `  ${state}; ${by}`,
    `  migrate ${group.migrate}, route ${group.route}, settings ${group.settings}`,
    ...holdText(group),
    ...heldSoFar(group),
    ...mptcpText(group),
    ...group.optionDifferences.map(
      ({ classes, names }) => `  classes ${classes.join(" and ")} differ in ${names.join(", ")}`,
    ),
  ];
  return [
    ...facts.flatMap((fact) => hanging(fact, width)),
    ...listenersText(group),
    ...decisionsText(group, rate),
  ];
}

/** `4026531840`, or `/run/netns/edge (4026532178)`. */
export function netnsText({ key: { netns }, netnsName }: GroupStatus): string {
  const isNumber = netnsName === null || netnsName === String(netns);
  return isNumber ? String(netns) : `${netnsName} (${netns})`;
}

function adoptionText({ cgroup, inForce, ports }: AdoptionStatus): string {
  const rows = ports.map(({ port, binds, failed }) => [port, binds, failed].map(String));
  return [
    `adopted cgroup ${printable(cgroup)}`,
    ...(inForce ? [] : ["  not in force: its parent cgroup was removed; attach again"]),
    ...table(["port", "binds", "failed"], rows).map((line) => `    ${line}`),
  ].join("\n");
}

export interface StatusTextOptions {
  /** Columns. */
  readonly width: number;
  /** Also prints decisions a second. */
  readonly rate?: Rate;
}

/** Returns what `status` prints. */
export function statusText(status: Status, { width, rate }: StatusTextOptions): string {
  const blocks = status.groups.map((group) => groupText(group, width, rate).join("\n"));
  // What a SPEC names is said below.
  if (status.groups.length + status.unattached.length === 0) blocks.push("nothing is attached");
  blocks.push(...status.adoptions.map(adoptionText));
  for (const lines of [unattachedText(status), idleSidecarsText(status)]) {
    if (lines.length > 0) blocks.push(lines.flatMap((line) => hanging(line, width)).join("\n"));
  }
  return blocks.join("\n\n");
}
