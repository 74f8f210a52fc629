/** Each alert of deploy/prometheus/rules.yml: series for which it fires, and others for which not. */

export interface AlertCase {
  readonly alert: string;
  /** Series (without the prefix reuseport_migrate_) and their values, one a minute. */
  readonly fires: readonly string[];
  readonly silent: readonly string[];
  /** When it is evaluated. */
  readonly at?: string;
  /** A time at which it does not fire yet. */
  readonly before?: string;
  /** Its labels, those of the case left out. */
  readonly labels: Readonly<Record<string, string>>;
  readonly summary: string;
}

/** The labels of a group, and those of Prometheus. */
export const GROUP = {
  service: "web",
  address: "0.0.0.0",
  port: "443",
  netns: "own",
} as const;

const text = (labels: object) =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(",");
const g = text(GROUP);

export const ALERT_CASES: readonly AlertCase[] = [
  {
    alert: "ReuseportMigrateConnectionsDropped",
    fires: [`dropped_connections_total{${g}} 0x4 4x10`],
    silent: [`dropped_connections_total{${g}} 9x20`],
    at: "6m",
    before: "4m",
    labels: GROUP,
    summary: "0.0.0.0:443: 4 connections of closing listeners were reset.",
  },
  {
    alert: "ReuseportMigrateHeldConnectionsReset",
    fires: [`held_connections_total{result="reset",${g}} 0x4 4x10`],
    silent: [
      `held_connections_total{result="reset",${g}} 0x20`,
      `held_connections_total{result="handed_over",${g}} 0+5x20`,
    ],
    at: "6m",
    before: "4m",
    labels: { ...GROUP, result: "reset" },
    summary: "0.0.0.0:443: 4 held connections were reset.",
  },
  {
    alert: "ReuseportMigrateHoldExpired",
    fires: [`holds_total{result="expired",${g}} 0x4 1x10`],
    silent: [
      `holds_total{result="expired",${g}} 0x20`,
      `holds_total{result="released",${g}} 0+1x20`,
    ],
    at: "6m",
    before: "4m",
    labels: { ...GROUP, result: "expired" },
    summary: "0.0.0.0:443: no server came back within the time of --hold.",
  },
  {
    alert: "ReuseportMigrateHoldAboutToExpire",
    fires: [`hold_left_seconds{${g}} _ 120 60 _x10`, `hold_limit_seconds{${g}} 150x10`],
    silent: [`hold_left_seconds{${g}} _ 140 80 _x10`, `hold_limit_seconds{${g}} 150x10`],
    at: "2m",
    before: "1m",
    labels: GROUP,
    summary: "0.0.0.0:443: 40% of the hold is left, and no server listens.",
  },
  {
    alert: "ReuseportMigrateHoldFull",
    fires: [`hold_connections{${g}} 0 950x10`, `hold_connections_limit{${g}} 1000x10`],
    silent: [`hold_connections{${g}} 900x10`, `hold_connections_limit{${g}} 1000x10`],
    at: "2m",
    before: "0m",
    labels: GROUP,
    summary: "0.0.0.0:443: the standby holds 95% of what it may hold.",
  },
  {
    alert: "ReuseportMigrateDestinationOverloaded",
    fires: [`accept_queue_length{${g}} 0x2 90x10`, `accept_queue_limit{${g}} 100x15`],
    silent: [
      `accept_queue_length{${g}} 0x2 90 0x10`, // a burst
      `accept_queue_limit{${g}} 100x15`,
    ],
    at: "4m",
    before: "3m",
    labels: GROUP,
    summary: "0.0.0.0:443: the accept queues are 90% full.",
  },
  {
    alert: "ReuseportMigrateNothingAttached",
    fires: ['groups{service="web"} 0x20'],
    silent: ['groups{service="web"} 0x3 1x16'], // a server that starts late
    at: "6m",
    before: "4m",
    labels: { service: "web" },
    summary: "Service web: nothing is attached.",
  },
  {
    alert: "ReuseportMigrateGroupsRefused",
    fires: ['refused_groups{reason="foreign_program"} 2x20'],
    silent: ['refused_groups{reason="foreign_program"} 0x20'],
    at: "6m",
    before: "4m",
    labels: { reason: "foreign_program" },
    summary: "2 groups are not attached: foreign_program.",
  },
  {
    alert: "ReuseportMigrateFallbacks",
    fires: [`fallbacks_total{${g}} 0x4 9x10`],
    silent: [`fallbacks_total{${g}} 9x20`],
    at: "9m",
    before: "4m",
    labels: GROUP,
    summary: "0.0.0.0:443: the kernel chose for 9 connections.",
  },
  {
    alert: "ReuseportMigrateDrainStuck",
    fires: [`listeners{role="draining",generation="older",${g}} 2x60`],
    silent: [
      `listeners{role="draining",generation="older",${g}} 2x20`,
      `listeners{role="superseded",generation="older",${g}} 2x60`,
    ],
    at: "31m",
    before: "29m",
    labels: GROUP,
    summary: "0.0.0.0:443: 2 listeners have been draining for half an hour.",
  },
  {
    alert: "ReuseportMigrateHungProcesses",
    fires: ["hung_processes 1x20"],
    silent: ["hung_processes 0x20"],
    at: "6m",
    before: "4m",
    labels: {},
    summary: "fires: 1 processes are left alone, as a call on their listener hung.",
  },
  {
    alert: "ReuseportMigrateWakeupDefect",
    fires: ["wakeup_defect 1x90"],
    silent: ["wakeup_defect 0x90"],
    at: "61m",
    before: "59m",
    labels: {},
    summary:
      "fires: this kernel does not wake a process that connections migrate to (CVE-2026-46015).",
  },
  {
    alert: "ReuseportMigrateGroupsLimitReached",
    fires: [
      'groups{service="web"} 600x20',
      'groups{service="api"} 350x20',
      'groups_limit{of="all"} 1000x20',
      'refused_groups{reason="limit"} 0x20',
    ],
    silent: [
      'groups{service="web"} 600x20',
      'groups_limit{of="all"} 1000x20',
      'refused_groups{reason="limit"} 0x20',
      'refused_groups{reason="other"} 3x20',
    ],
    at: "6m",
    before: "4m",
    labels: {},
    summary: "fires: as many groups as are managed at most.",
  },
  {
    alert: "ReuseportMigrateGroupsLimitReached",
    fires: ['refused_groups{reason="limit"} 2x20', 'groups_limit{of="all"} 1000x20'],
    silent: ['refused_groups{reason="limit"} 0x20', 'groups_limit{of="all"} 1000x20'],
    at: "6m",
    labels: { reason: "limit" },
    summary: "fires: as many groups as are managed at most.",
  },
  {
    alert: "ReuseportMigrateScrapeConnectionsDropped",
    fires: ["http_connections_dropped_total 0x4 1x10"],
    silent: ["http_connections_dropped_total 7x20"],
    at: "9m",
    before: "4m",
    labels: {},
    summary: "fires: more than 32 connections to /metrics.",
  },
  {
    alert: "ReuseportMigrateBindEventsMissed",
    fires: ["bind_events_missed_total 0x4 100x10"],
    silent: ["bind_events_missed_total 7x20"],
    at: "9m",
    before: "4m",
    labels: {},
    summary: "fires: a flood of binds to covered ports.",
  },
  {
    alert: "ReuseportMigrateScrapeIncomplete",
    fires: ["collection_errors_total 0x4 1x10"],
    silent: ["collection_errors_total 7x20"],
    at: "9m",
    before: "4m",
    labels: {},
    summary: "fires: /metrics lacks something.",
  },
];
