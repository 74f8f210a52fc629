/** What /metrics says of a group: the families, and the values of one group's status. */
import { HOLD_RESULTS } from "../../loader/core/abi.ts";
import type { GroupStatus, HoldStatus } from "../../loader/operate/status.ts";
import { type Families, type Labels, labelText, type Type } from "./families.ts";
import { holdSeconds } from "./hold_histogram.ts";

/** Name, type and help; all have the labels service and group. */
export const GROUP_FAMILIES: readonly (readonly [name: string, type: Type, help: string])[] = [
  [
    "decisions_total",
    "counter",
    "Decisions of the program by stage and outcome, counted in the kernel when they are made.",
  ],
  [
    "listener_migrations_total",
    "counter",
    "Connections migrated out of and into the listener in each slot, counted in the kernel; slot=closed are all listeners that are gone, any other slot is left out while it is 0.",
  ],
  [
    "listeners",
    "gauge",
    "Listeners by role and generation (newest or older) at this scrape, the standby left out.",
  ],
  [
    "mptcp_listeners",
    "gauge",
    "MPTCP listeners at this scrape: role unknown, reached by the kernel's hash only; groups without any are left out.",
  ],
  ["generation", "gauge", "Number of the newest generation."],
  [
    "accept_queue_length",
    "gauge",
    "Connections waiting to be accepted, all listeners, at this scrape.",
  ],
  ["accept_queue_limit", "gauge", "Connections that may wait to be accepted, all listeners."],
  ["half_open_requests", "gauge", "Handshakes under way, all listeners, at this scrape."],
  [
    "reattachments_total",
    "counter",
    "Times the program was attached again because the kernel's group was re-created.",
  ],
  [
    "wakeups_total",
    "counter",
    "Listeners woken by the sidecar after a migration, where the kernel does not.",
  ],
  ["held_connections", "gauge", "Connections that wait at the standby, at this scrape."],
  [
    "standby_connections_total",
    "counter",
    "Connections the standby was given, new or migrated, counted in the kernel.",
  ],
  [
    "holds_total",
    "counter",
    "Holds that started, and how they ended; counted by the sidecar in the kernel's memory.",
  ],
  [
    "hold_seconds",
    "histogram",
    "How long holds took until they ended, counted by the sidecar in the kernel's memory; groups in which none has ended are left out.",
  ],
  [
    "program_run_seconds_total",
    "counter",
    "Time spent in the program, counted by the kernel while kernel.bpf_stats_enabled is 1.",
  ],
  [
    "program_runs_total",
    "counter",
    "Runs of the program, counted by the kernel while kernel.bpf_stats_enabled is 1.",
  ],
];

/** Tells all of a group's values. */
export function tellGroup(families: Families, group: GroupStatus): void {
  const labels = labelText({ service: group.service, group: group.name });
  const tell: Tell = (name, value, own, suffix) =>
    families.tell(name, value, own ? `${labelText(own)},${labels}` : labels, suffix);
  for (const { stage, outcome, reason, count } of group.decisions) {
    tell("decisions_total", count, { stage, outcome, ...(reason ? { reason } : {}) });
  }
  tellMigrations(tell, group);
  tellListeners(tell, group);
  tell("wakeups_total", group.wakeups);
  if (group.hold) tellHold(tell, group.hold);
  tell("generation", group.generation);
  tell("reattachments_total", Math.max(0, group.attachments - 1));
  if (group.run.count > 0n) {
    tell("program_run_seconds_total", Number(group.run.timeNs) / 1e9);
    tell("program_runs_total", group.run.count);
  }
}

type Tell = (name: string, value: number | bigint, own?: Labels, suffix?: string) => void;

const DIRECTIONS = ["out", "into"] as const;

function tellMigrations(tell: Tell, { closed, listeners }: GroupStatus): void {
  const name = "listener_migrations_total";
  for (const direction of DIRECTIONS) tell(name, closed[direction], { slot: "closed", direction });
  for (const { slot, role, migratedOut, migratedInto } of listeners) {
    if (slot === null || role === "standby") continue;
    // Of a thousand groups all but a few of these are 0, and they are most of the series.
    if (migratedOut > 0n) tell(name, migratedOut, { slot, direction: "out" });
    if (migratedInto > 0n) tell(name, migratedInto, { slot, direction: "into" });
  }
}

function tellListeners(tell: Tell, group: GroupStatus): void {
  const counts = new Map<string, { newest: number; older: number }>();
  let [mptcp, length, limit, halfOpen] = [0, 0, 0, 0];
  for (const listener of group.listeners) {
    const { role } = listener;
    if (role === "standby") continue;
    const count = counts.get(role) ?? { newest: 0, older: 0 };
    count[listener.generation === group.generation ? "newest" : "older"]++;
    counts.set(role, count);
    if (listener.protocol === "mptcp") mptcp++;
    length += listener.queueLength;
    limit += listener.queueLimit;
    halfOpen += listener.halfOpen;
  }
  for (const [role, { newest, older }] of counts) {
    if (newest > 0) tell("listeners", newest, { role, generation: "newest" });
    if (older > 0) tell("listeners", older, { role, generation: "older" });
  }
  if (mptcp > 0) tell("mptcp_listeners", mptcp);
  tell("accept_queue_length", length);
  tell("accept_queue_limit", limit);
  tell("half_open_requests", halfOpen);
}

function tellHold(tell: Tell, hold: HoldStatus): void {
  tell("held_connections", hold.connections);
  tell("standby_connections_total", hold.received.syn, { kind: "new" });
  tell("standby_connections_total", hold.received.migrated, { kind: "migrated" });
  for (const result of ["started", ...HOLD_RESULTS] as const) {
    tell("holds_total", hold.holds[result], { result });
  }
  const { handed_over, expired, released } = hold.holds;
  if (handed_over + expired + released === 0) return;
  for (const { suffix, le, value } of holdSeconds(hold)) {
    tell("hold_seconds", value, le === undefined ? undefined : { le }, suffix);
  }
}
