/** Status as text for people and as JSON for programs. Pure. */

import type { AdoptionStatus } from "../../loader/adoption/adoption_status.ts";
import { formatEndpoint } from "../../loader/core/address.ts";
import type { Listener } from "../../loader/core/listener.ts";
import type { Decision } from "../../loader/group/counts.ts";
import type { GroupStatus, ListenerStatus, Status } from "../../loader/operate/status.ts";

/** Columns as wide as their widest cell; numbers to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  const numeric = header.map((_, i) => rows.every((row) => /^[-\d./]*$/.test(row[i] ?? "")));
  return all.map((row) =>
    row
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

/** Decisions a second since the reading before; null: there is none. */
export type Rate = (group: GroupStatus, decision: Decision) => number | null;

/** `0.4`, `312`; `-` when it is not known. */
export function rateText(rate: number | null): string {
  if (rate === null) return "-";
  return rate >= 10 ? String(Math.round(rate)) : String(Math.round(rate * 10) / 10);
}

function ownersText(owners: ListenerStatus["owners"]): string {
  const [first] = owners;
  const more = new Set(owners.map(({ pid }) => pid)).size - 1;
  return first ? `${first.pid} ${first.comm}${more > 0 ? ` +${more}` : ""}` : "-";
}

/** `holding 7.2s left, 143 connections`, or what the standby waits for; nothing without one. */
function holdText({ hold }: GroupStatus): string[] {
  if (!hold) return [];
  if (hold.leftMs !== null) {
    const left = (hold.leftMs / 1000).toFixed(1);
    return [`  holding ${left}s left, ${hold.connections} connections`];
  }
  const upTo = `hold ${hold.timeMs / 1000}s, ${hold.max} connections at most`;
  return [`  ${upTo}; ${hold.standby ? "a standby listens" : "no standby listens"}`];
}

/** Those a program cannot select; nothing where there are none. */
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

/** What `status` prints; with `rate` also how fast. */
export function statusText(status: Status, rate?: Rate): string {
  const blocks = status.groups.map((group) => groupText(group, rate).join("\n"));
  if (status.groups.length === 0) blocks.push("nothing is attached");
  blocks.push(...status.adoptions.map(adoptionText));
  if (status.unmanaged.length > 0) {
    blocks.push(["listening, not attached", ...status.unmanaged.map(unmanagedText)].join("\n"));
  }
  return blocks.join("\n\n");
}

/** What `status --json` prints: counts are numbers, cookies (64 bits) are strings. */
export function statusJson(status: Status, rate?: Rate) {
  return {
    groups: status.groups.map((group) => ({
      name: group.name,
      service: group.service,
      netns: group.key.netns,
      family: group.key.family,
      address: group.key.address,
      port: group.key.port,
      uid: group.uid,
      attached: group.attached,
      program_id: group.programId,
      migrate: group.migrate,
      route: group.route,
      settings: group.settings,
      unlike: group.optionDifferences,
      wakeups: group.wakeups,
      attachments: group.attachments,
      hold: group.hold && {
        time_ms: group.hold.timeMs,
        max: group.hold.max,
        standby: group.hold.standby,
        holding: group.hold.holding,
        left_ms: group.hold.leftMs,
        connections: group.hold.connections,
        received_syn: Number(group.hold.received.syn),
        received_migrated: Number(group.hold.received.migrated),
        started: group.hold.holds.started,
        handed_over: group.hold.holds.handed_over,
        expired: group.hold.holds.expired,
        released: group.hold.holds.released,
      },
      sidecar_pid: group.sidecar,
      generation: group.generation,
      listeners: group.listeners.map((l) => ({
        cookie: String(l.cookie),
        protocol: l.protocol,
        slot: l.slot,
        generation: l.generation,
        role: l.role,
        class: l.class,
        owners: l.owners.map(({ pid, fd, comm }) => ({ pid, fd, comm })),
        queue_length: l.queueLength,
        queue_limit: l.queueLimit,
        half_open: l.halfOpen,
        migrated_out: Number(l.migratedOut),
        migrated_into: Number(l.migratedInto),
      })),
      decisions: group.decisions.map((d) => ({
        ...d,
        count: Number(d.count),
        ...(rate && { per_second: rate(group, d) }),
      })),
      closed_listeners: {
        migrated_out: Number(group.closed.out),
        migrated_into: Number(group.closed.into),
      },
    })),
    adoptions: status.adoptions.map(({ cgroup, inForce, ports }) => ({
      cgroup,
      in_force: inForce,
      ports: ports.map(({ port, binds, failed }) => ({
        port,
        binds: Number(binds),
        failed: Number(failed),
      })),
    })),
    unmanaged: status.unmanaged.map(({ cookie, key, owners }) => ({
      cookie: String(cookie),
      netns: key.netns,
      family: key.family,
      address: key.address,
      port: key.port,
      owners: owners.map(({ pid, fd, comm }) => ({ pid, fd, comm })),
    })),
    errors: status.errors,
  };
}
