/** The metrics of a group: their families, and the values of one status. */
import { HELD_RESULTS, HOLD_RESULTS } from "../../loader/core/abi.ts";
import type { HoldCounts } from "../../loader/group/hold_record.ts";
import type { GroupStatus, HoldStatus } from "../../loader/operate/status.ts";
import { type Families, type Labels, labelText, type MetricFamily } from "./families.ts";
import { holdSeconds } from "./hold_histogram.ts";

/** All have the labels of GroupLabels. */
export const GROUP_FAMILIES: readonly MetricFamily[] = [
  [
    "decisions_total",
    "counter",
    "Decisions of the program by stage and outcome, counted in the kernel when they are made.",
  ],
  [
    "dropped_connections_total",
    "counter",
    "Connections and handshakes of closing listeners that the program dropped: by policy, or as no listener had their socket options.",
  ],
  [
    "fallbacks_total",
    "counter",
    "Decisions that the program left to the kernel's hash, as it could select no target.",
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
    "group_owner_info",
    "gauge",
    "Always 1; unit, container and pod of the processes that listen, as their cgroups said when a listener last came or left.",
  ],
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
  ["hold_connections", "gauge", "Connections that wait at the standby, at this scrape."],
  ["hold_connections_limit", "gauge", "Connections that may wait at the standby."],
  [
    "hold_left_seconds",
    "gauge",
    "Time until the hold under way expires; left out while there is none.",
  ],
  ["hold_limit_seconds", "gauge", "How long a hold may last."],
  [
    "standby_connections_total",
    "counter",
    "Connections the standby was given, new or migrated, counted in the kernel.",
  ],
  ["holds_started_total", "counter", "Holds that started."],
  ["holds_total", "counter", "Holds that ended, by how they ended."],
  [
    "held_connections_total",
    "counter",
    "Connections and handshakes that a standby held, each counted once when the standby closed; result=handed_over went to a listener, result=reset found none and is lost.",
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

/**
 * Adds the values of a group.
 * @param labels those of the group, as text
 */
export function addGroup(families: Families, group: GroupStatus, labels: string): void {
  const add: Add = (name, value, own, suffix) =>
    families.add(name, value, own ? `${labelText(own)},${labels}` : labels, suffix);
  for (const { stage, outcome, reason, count } of group.decisions) {
    add("decisions_total", count, { stage, outcome, ...(reason ? { reason } : {}) });
  }
  addSums(add, group);
  addMigrations(add, group);
  addListeners(add, group);
  for (const { unit, container, pod } of group.ownedBy) {
    add("group_owner_info", 1, {
      ...(unit === null ? {} : { unit }),
      ...(container === null ? {} : { container }),
      ...(pod === null ? {} : { pod }),
    });
  }
  add("wakeups_total", group.wakeups);
  if (group.hold) addHold(add, group.hold);
  if (group.hold || group.holds.started > 0) addHolds(add, group.holds);
  add("generation", group.generation);
  add("reattachments_total", Math.max(0, group.attachments - 1));
  if (group.run.count > 0) {
    add("program_run_seconds_total", Number(group.run.timeNs) / 1e9);
    add("program_runs_total", group.run.count);
  }
}

type Add = (name: string, value: number, own?: Labels, suffix?: string) => void;

/** There from zero, so that an alert misses no first one; a decision that never was is no series. */
function addSums(add: Add, { decisions }: GroupStatus): void {
  let [dropped, fallbacks] = [0, 0];
  for (const { stage, outcome, count } of decisions) {
    if (outcome === "dropped" && stage !== "syn") dropped += count;
    else if (outcome === "fallback") fallbacks += count;
  }
  add("dropped_connections_total", dropped);
  add("fallbacks_total", fallbacks);
}

const DIRECTIONS = ["out", "into"] as const;

function addMigrations(add: Add, { closed, listeners }: GroupStatus): void {
  const name = "listener_migrations_total";
  for (const direction of DIRECTIONS) add(name, closed[direction], { slot: "closed", direction });
  for (const { slot, role, migratedOut, migratedInto } of listeners) {
    if (slot === null || role === "standby") continue;
    // Nearly all of these are 0 in a host of a thousand groups; they would be most of its series.
    if (migratedOut > 0) add(name, migratedOut, { slot, direction: "out" });
    if (migratedInto > 0) add(name, migratedInto, { slot, direction: "into" });
  }
}

function addListeners(add: Add, group: GroupStatus): void {
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
    if (newest > 0) add("listeners", newest, { role, generation: "newest" });
    if (older > 0) add("listeners", older, { role, generation: "older" });
  }
  if (mptcp > 0) add("mptcp_listeners", mptcp);
  add("accept_queue_length", length);
  add("accept_queue_limit", limit);
  add("half_open_requests", halfOpen);
}

function addHold(add: Add, hold: HoldStatus): void {
  add("hold_connections", hold.connections);
  add("hold_connections_limit", hold.max);
  if (hold.leftMs !== null) add("hold_left_seconds", hold.leftMs / 1000);
  add("hold_limit_seconds", hold.timeMs / 1000);
  add("standby_connections_total", hold.received.syn, { kind: "new" });
  add("standby_connections_total", hold.received.migrated, { kind: "migrated" });
}

/** Also of a group that has no standby any longer. */
function addHolds(add: Add, holds: HoldCounts): void {
  add("holds_started_total", holds.started);
  for (const result of HOLD_RESULTS) add("holds_total", holds[result], { result });
  for (const result of HELD_RESULTS) {
    add("held_connections_total", holds.connections[result], { result });
  }
  if (holds.handed_over + holds.expired + holds.released === 0) return;
  for (const { suffix, le, value } of holdSeconds(holds)) {
    add("hold_seconds", value, le === undefined ? undefined : { le }, suffix);
  }
}
