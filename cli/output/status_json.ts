/** Status as JSON. Pure. */
import type { GroupStatus, Status } from "../../loader/operate/status.ts";
import { printable } from "../../loader/printable.ts";
import type { Rate } from "./decisions.ts";
import type { GroupIdentity, StatusReport } from "./status_report.ts";

/** Returns what `status --json` prints: counts are numbers, cookies (64 bits) are strings. */
export function statusJson(status: Status, rate?: Rate): StatusReport {
  return {
    groups: status.groups.map((group) => groupStatusJson(group, rate)),
    adoptions: status.adoptions.map(({ cgroup, inForce, ports }) => ({
      cgroup: printable(cgroup),
      in_force: inForce,
      ports: ports.map(({ port, binds, failed }) => ({
        port,
        binds: Number(binds),
        failed: Number(failed),
      })),
    })),
    unattached: status.unattached.map(({ text }) => text),
    sidecars: status.sidecars,
    unmanaged: status.unmanaged.map(({ cookie, key, reuseport, owners }) => ({
      cookie: String(cookie),
      netns: key.netns,
      family: key.family,
      address: key.address,
      port: key.port,
      reuseport,
      owners: owners.map(({ pid, fd, comm }) => ({ pid, fd, comm })),
    })),
    errors: status.errors,
  };
}

/** Returns the status of one group. */
export function groupStatusJson(group: GroupStatus, rate?: Rate) {
  return {
    ...groupJson(group),
    uid: group.uid,
    owned_by: group.ownedBy.map(({ unit, container, pod }) => ({ unit, container, pod })),
    attached: group.attached,
    program_id: group.programId,
    migrate: group.migrate,
    route: group.route,
    settings: group.settings,
    option_differences: group.optionDifferences,
    wakeups: group.wakeups,
    attachments: group.attachments,
    hold: group.hold && {
      time_ms: group.hold.timeMs,
      max: group.hold.max,
      standby: group.hold.standby,
      holding: group.hold.holding,
      left_ms: group.hold.leftMs,
      connections: group.hold.connections,
      received_syn: group.hold.received.syn,
      received_migrated: group.hold.received.migrated,
    },
    holds: {
      started: group.holds.started,
      handed_over: group.holds.handed_over,
      expired: group.holds.expired,
      released: group.holds.released,
      connections: group.holds.connections,
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
      migrated_out: l.migratedOut,
      migrated_into: l.migratedInto,
    })),
    decisions: group.decisions.map((d) => ({
      ...d,
      ...(rate && { per_second: rate(group, d) }),
    })),
    closed_listeners: {
      migrated_out: group.closed.out,
      migrated_into: group.closed.into,
    },
  };
}

/** Returns the identity of a group. */
export function groupJson({ name, service, key, netnsName }: GroupStatus): GroupIdentity {
  const { netns, family, address, port } = key;
  return { name, service, netns, netns_name: netnsName, family, address, port };
}
