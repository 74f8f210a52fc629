/**
 * The TypeScript twin of bpf/reuseport_migrate.h: the same numbers, the same
 * layouts. tests/ffi/abi.test.ts compares every line of it with the header and
 * with the BTF of the built objects. Imports nothing of ours.
 */

export const ABI_VERSION = 6;
export const MAX_SLOTS = 1024;
export const MAX_CLASSES = 16;
export const TRIES = 8;
export const SOURCE_TRIES = 32;
export const SOURCE_COOKIE_SHIFT = 16;
export const SOURCE_ROW_SHIFT = 4;
export const SOURCE_HASH = 2_654_435_769;
export const LINE_CELLS = 32;
export const FIRST_TARGETS = 56;
export const CANDIDATE_LINES = 3;
export const SERVICE_LEN = 64;
export const COMM_LEN = 16;
export const OPTIONS_LEN = 2032;
export const CGROUP_NAME_LEN = 256;
export const CGROUP_PATH_LEN = 1024;

/** Stages, in the order of RM_STAGE_*. */
export const STAGES = ["syn", "accept_queue", "handshake_ack", "handshake_timer"] as const;
export type Stage = (typeof STAGES)[number];

/** Outcomes, in the order of RM_OUTCOME_*; fallbacks, and drops that are not asked for as such, have a reason. */
export const OUTCOMES = [
  { outcome: "selected" },
  { outcome: "kernel" },
  { outcome: "dropped" },
  { outcome: "fallback", reason: "no_target" },
  { outcome: "fallback", reason: "settings" },
  { outcome: "fallback", reason: "source" },
  { outcome: "fallback", reason: "gone" },
  { outcome: "fallback", reason: "refused" },
  { outcome: "dropped", reason: "settings" },
] as const;

/** Policies, in the order of RM_MIGRATE_*, RM_ROUTE_* and RM_SETTINGS_*. */
export const MIGRATE = ["newest", "any", "off", "observe"] as const;
export type Migrate = (typeof MIGRATE)[number];
export const ROUTE = ["kernel", "newest"] as const;
export type Route = (typeof ROUTE)[number];
export const SETTINGS = ["prefer", "strict", "ignore"] as const;
export type SettingsPolicy = (typeof SETTINGS)[number];

/** When a sidecar wakes what connections migrate to: where the kernel does not, always, never. */
export const WAKE = ["auto", "always", "never"] as const;
export type Wake = (typeof WAKE)[number];

/** What the program does with migrating connections, in the order of RM_MODE_*. */
export const MODES = ["select", "strict", "drop", "pass"] as const;
export type Mode = (typeof MODES)[number];

/** rm_control.syn_count when every listener is drained. */
export const SYN_REFUSE = 65_535;

/** rm_control.fast_path when the program has to look at more than the plan's targets. */
export const FAST_PATH_NONE = 65_535;

/** Stages at which connections migrate, and the cells of a row of `migrations`: decisions, then `into`. */
export const MIGRATING_STAGES = STAGES.slice(1);
export const MIGRATION_DECISIONS = MIGRATING_STAGES.length * OUTCOMES.length;

/** How a hold ends: a server listened again, nobody did in time, or somebody said so. */
export const HOLD_RESULTS = ["handed_over", "expired", "released"] as const;
export type HoldResult = (typeof HOLD_RESULTS)[number];

/** Upper bounds of `rm_hold_counts.buckets`, seconds of time held; what took longer is in none. */
export const HOLD_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const;

/** Size and member offsets in bytes of every struct of the header. */
export const LAYOUT = {
  rm_migrations: { size: 240, members: { decisions: 0, into: 216 } },
  rm_plan_line: { size: 64, members: { as: 0 } },
  rm_candidates: { size: 8, members: { first: 0, count: 2, total: 4, pad: 6 } },
  rm_control: {
    size: 128,
    members: {
      plan: 0,
      probe: 2,
      probe_slot: 4,
      source_mask: 6,
      mode: 8,
      report_moves: 9,
      syn_count: 10,
      standby: 12,
      fast_path: 14,
      first_targets: 16,
      counters: 128,
    },
  },
  rm_sizes: { size: 8, members: { counters: 0, cpu_counters: 4 } },
  rm_move_report: { size: 16, members: { pending: 0, pad: 4, wakeups: 8 } },
  rm_slot: {
    size: 72,
    members: {
      cookie: 0,
      opened_ms: 8,
      closed_ms: 16,
      options_digest: 24,
      generation: 32,
      class: 36,
      drained: 40,
      pad: 44,
      base_syn: 48,
      base_out: 56,
      base_into: 64,
    },
  },
  rm_group: {
    size: 120,
    members: {
      abi_version: 0,
      netns: 4,
      ifindex: 8,
      uid: 12,
      family: 16,
      port: 18,
      v6only: 20,
      migrate: 21,
      route: 22,
      settings: 23,
      addr: 24,
      slots: 40,
      attachments: 44,
      hold_ms: 48,
      hold_max: 52,
      service: 56,
    },
  },
  rm_standby: { size: 2048, members: { cookie: 0, held_ms: 8, options: 16 } },
  rm_hold_counts: {
    size: 120,
    members: { started: 0, handed_over: 8, expired: 16, released: 24, sum_ms: 32, buckets: 40 },
  },
  rm_listener: {
    size: 104,
    members: {
      cookie: 0,
      group: 8,
      start_ns: 16,
      pid: 24,
      fd: 28,
      netns: 32,
      uid: 36,
      prog_id: 40,
      ifindex: 44,
      queue_length: 48,
      queue_limit: 52,
      half_open: 56,
      family: 60,
      port: 62,
      protocol: 64,
      group_size: 66,
      reuseport: 68,
      v6only: 69,
      has_prog: 70,
      sockarray: 71,
      addr: 72,
      comm: 88,
    },
  },
  rm_iter_options: { size: 8, members: { pidns: 0, udp: 4, pad: 5 } },
  rm_bind_event: { size: 8, members: { port: 0, pad: 2, pid: 4 } },
  rm_adoption: { size: 1296, members: { abi_version: 0, pad: 4, parent: 8, name: 16, path: 272 } },
  rm_adopted_port: { size: 16, members: { binds: 0, failed: 8 } },
} as const;

/** Names in the objects. */
export const CONTROL_SECTION = ".data.control";
export const RODATA = ".rodata";
export const SELECT_PROGRAM = "select_listener";
export const ITERATOR_PROGRAM = "list_listeners";
export const BOUND_PROGRAMS = ["bound4", "bound6"] as const;
/** Programs of adopt.bpf.o, and the names of their links' pins. */
export const BIND_PROGRAMS = ["bind4", "bind6"] as const;
