/**
 * The TypeScript twin of bpf/reuseport_migrate.h, records.h and reports.h: numbers and layouts.
 * tests/ffi/abi.test.ts compares every line with them and with the BTF of the built objects. Pure.
 */
import { array, bytes, count64, flag, oneOf, Struct, text, u8, u16, u32, u64 } from "./struct.ts";

export const ABI_VERSION = 9;
export const MAX_SLOTS = 1024;
export const MAX_CLASSES = 16;
export const TRIES = 8;
export const SOURCE_TRIES = 32;
export const SOURCE_COOKIE_SHIFT = 16;
export const SOURCE_ROW_SHIFT = 4;
export const SOURCE_HASH = 2_654_435_769;
export const LINE_SLOTS = 32;
export const LINE_CPUS = 16;
export const FIRST_TARGETS = 56;
export const CANDIDATE_LINES = 3;
export const SERVICE_LEN = 64;
/** Bytes of an event's JSON, NUL included. */
export const EVENT_LEN = 992;
export const COMM_LEN = 16;
export const BIND_BUDGET = 64;
export const OPTIONS_LEN = 2032;
export const CGROUP_NAME_LEN = 256;
export const CGROUP_PATH_LEN = 1024;

/** Stages, in the order of RM_STAGE_*. */
export const STAGES = ["syn", "accept_queue", "handshake_ack", "handshake_timer"] as const;
export type Stage = (typeof STAGES)[number];

/**
 * Outcomes, in the order of RM_OUTCOME_*. Fallbacks, and drops for lack of a compatible target,
 * have a reason.
 */
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

/** When a sidecar wakes destinations: auto means on kernels that do not wake them. */
export const WAKE = ["auto", "always", "never"] as const;
export type Wake = (typeof WAKE)[number];

/** Treatment of migrating connections, in the order of RM_MODE_*. */
export const MODES = ["select", "strict", "drop", "pass"] as const;
export type Mode = (typeof MODES)[number];

/** rm_control.syn_count when every listener is drained. */
export const SYN_REFUSE = 65_535;

/** rm_control.fast_path when every packet takes the slow path. */
export const FAST_PATH_NONE = 65_535;

/** Stages at which connections migrate, and the number of decisions in a row of `migrations`. */
export const MIGRATING_STAGES = STAGES.slice(1);
export const MIGRATION_DECISIONS = MIGRATING_STAGES.length * OUTCOMES.length;

/** How a hold ends: a server listened again, none did in time, or a command released it. */
export const HOLD_RESULTS = ["handed_over", "expired", "released"] as const;
export type HoldResult = (typeof HOLD_RESULTS)[number];

/** What became of the connections of a standby that closed. */
export const HELD_RESULTS = ["handed_over", "reset"] as const;
export type HeldResult = (typeof HELD_RESULTS)[number];

/** Upper bounds of `rm_hold_counts.buckets`, seconds; longer holds are in no bucket. */
export const HOLD_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const;

const STANDBY_PORT = new Struct({ netns: u32, port: u32 });

/** Levels of an event. */
export const LEVELS = ["info", "warn", "error"] as const;

/** Every struct of the header. `encode` and `decode` leave out `pad`. */
export const LAYOUT = {
  rm_migrations: new Struct({
    decisions: array(count64, MIGRATION_DECISIONS),
    into: array(count64, MIGRATING_STAGES.length),
  }),
  rm_plan_line: new Struct({ as: bytes(2 * LINE_SLOTS) }),
  rm_candidates: new Struct({ first: u16, count: u16, total: u16, pad: u16 }),
  rm_cpu_targets: new Struct({ first: u16, count: u16 }),
  rm_control: new Struct({
    plan: u16,
    probe: u16,
    probe_slot: u16,
    source_mask: u16,
    mode: oneOf(u8, MODES),
    report_moves: flag(u8),
    syn_count: u16,
    standby: u16,
    fast_path: u16,
    first_targets: array(u16, FIRST_TARGETS),
    counters: array(count64, 0), // of variable length
  }),
  rm_sizes: new Struct({ counters: u32, cpu_counters: u32, cpu_line: u32 }),
  rm_move_report: new Struct({ pending: flag(u32), pad: u32, wakeups: count64 }),
  rm_slot: new Struct({
    cookie: u64,
    opened_ms: count64,
    closed_ms: count64,
    options_digest: u64,
    generation: u32,
    class: u32,
    drained: flag(u32),
    incoming_cpu: u32,
    base_syn: count64,
    base_out: count64,
    base_into: count64,
  }),
  rm_group: new Struct({
    abi_version: u32,
    netns: u32,
    ifindex: u32,
    uid: u32,
    family: u16,
    port: u16,
    v6only: flag(u8),
    migrate: oneOf(u8, MIGRATE),
    route: oneOf(u8, ROUTE),
    settings: oneOf(u8, SETTINGS),
    addr: bytes(16),
    slots: u32,
    attachments: u32,
    first_program: u32,
    replaced_program: u32,
    hold_ms: u32,
    hold_max: u32,
    service: text(SERVICE_LEN),
  }),
  rm_standby: new Struct({ cookie: u64, held_ms: count64, options: text(OPTIONS_LEN, "latin1") }),
  rm_hold_counts: new Struct({
    started: count64,
    handed_over: count64,
    expired: count64,
    released: count64,
    sum_ms: count64,
    buckets: array(count64, HOLD_BUCKETS.length),
    connections_handed_over: count64,
    connections_reset: count64,
  }),
  rm_listener: new Struct({
    cookie: u64,
    group: u64,
    start_ns: u64,
    pid: u32,
    fd: u32,
    netns: u32,
    uid: u32,
    prog_id: u32,
    ifindex: u32,
    queue_length: u32,
    queue_limit: u32,
    half_open: u32,
    family: u16,
    port: u16,
    protocol: u16,
    group_size: u16,
    reuseport: flag(u8),
    v6only: flag(u8),
    has_prog: flag(u8),
    sockarray: flag(u8),
    addr: bytes(16),
    comm: text(COMM_LEN),
    keyed: flag(u8),
    pad: bytes(3),
    incoming_cpu: u32,
  }),
  rm_iter_options: new Struct({ pidns: u32, udp: flag(u8), pad: bytes(3) }),
  rm_standby_port: STANDBY_PORT,
  rm_standby_binds: new Struct({ uid: u32, pad: u32, reported_ns: u64 }),
  rm_refused_bind: new Struct({
    port: { ...bytes(STANDBY_PORT.size), alignment: 4 },
    pid: u32,
    uid: u32,
    reuseport: flag(u8),
    pad: bytes(3),
  }),
  rm_process: new Struct({ pid: u32, netns: u32, mntns: u32 }),
  rm_bind_event: new Struct({ port: u16, pad: u16, pid: u32 }),
  rm_bind_budget: new Struct({ limit: count64, taken: count64, missed: count64 }),
  rm_adoption: new Struct({
    abi_version: u32,
    pad: u32,
    parent: u64,
    name: text(CGROUP_NAME_LEN),
    path: text(CGROUP_PATH_LEN),
  }),
  rm_event: new Struct({
    id: count64,
    time_ms: count64,
    pid: u32,
    level: oneOf(u32, LEVELS),
    json: text(EVENT_LEN),
    same_id: count64,
  }),
  rm_event_count: new Struct({ count: count64 }),
  rm_adopted_port: new Struct({ binds: count64, failed: count64 }),
} as const;

/** Names in the objects. */
export const CONTROL_SECTION = ".data.control";
export const RODATA = ".rodata";
export const SELECT_PROGRAM = "select_listener";
export const ITERATOR_PROGRAM = "list_listeners";
/** Programs of standby_binds.bpf.o. */
export const BINDING_PROGRAMS = ["binding4", "binding6"] as const;
export const PROCESSES_PROGRAM = "list_processes";
export const CONNECTIONS_PROGRAM = "list_connections";
export const BOUND_PROGRAMS = ["bound4", "bound6"] as const;
/** Programs of adopt.bpf.o; the pins of their links have the same names. */
export const BIND_PROGRAMS = ["bind4", "bind6"] as const;
