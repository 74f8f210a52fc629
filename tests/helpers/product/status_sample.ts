/** A status in which every number differs from 0, for tests of its texts and metrics. */
import type { GroupStatus, ListenerStatus, Status } from "../../../loader/index.ts";
import { listenerStatus } from "../fixtures.ts";

export const sampleListener = (
  slot: number | null,
  generation: number | null,
  into = 0,
): ListenerStatus =>
  listenerStatus({
    cookie: 2n ** 60n,
    slot,
    generation,
    role: slot === null ? "unknown" : "target",
    queueLength: 2,
    halfOpen: 1,
    migratedInto: into,
  });

export const SAMPLE_GROUP: GroupStatus = {
  name: "7-ipv4-0_0_0_0-80",
  service: ":80",
  key: { netns: 7, family: "ipv4", address: "0.0.0.0", port: 80, ifindex: 0, v6only: false },
  netnsName: null,
  uid: 0,
  ownedBy: [{ unit: "nginx.service", container: null, runtime: null, pod: null }],
  attached: true,
  programId: 42,
  firstProgramId: 42,
  migrate: "newest",
  route: "kernel",
  settings: "prefer",
  optionDifferences: [{ classes: [1, 2], names: ["SO_KEEPALIVE", "TCP_DEFER_ACCEPT"] }],
  attachments: 3,
  sidecar: null,
  generation: 5,
  listeners: [sampleListener(0, 5, 30), sampleListener(1, 4), sampleListener(null, null)],
  decisions: [
    { stage: "accept_queue", outcome: "selected", count: 30 },
    { stage: "accept_queue", outcome: "fallback", reason: "gone", count: 2 },
    { stage: "handshake_ack", outcome: "dropped", reason: "settings", count: 7 },
    { stage: "syn", outcome: "dropped", count: 11 },
  ],
  wakeups: 4,
  hold: {
    timeMs: 10_000,
    max: 4096,
    standby: true,
    holding: true,
    leftMs: 7_240,
    connections: 143,
    received: { syn: 200, migrated: 12 },
  },
  holds: {
    started: 5,
    handed_over: 2,
    expired: 1,
    released: 1,
    sumMs: 12_500,
    buckets: [0, 1, 0, 2, 0, 0, 0, 0, 0, 0],
    connections: { handed_over: 140, reset: 3 },
  },
  closed: { out: 30, into: 0 },
  run: { timeNs: 1_500_000_000, count: 10 },
};
export const SAMPLE: Status = {
  groups: [SAMPLE_GROUP],
  adoptions: [
    {
      cgroup: "/system.slice/app.service",
      inForce: true,
      ports: [
        { port: 80, binds: 3, failed: 0 },
        { port: 81, binds: 0, failed: 1 },
      ],
    },
  ],
  unattached: [],
  unmanaged: [],
  sidecars: [],
  kernel: new Map([[7, { success: 32, failure: 1, overflows: 9 }]]),
  admission: { refused: new Map([["limit", 2]]), limits: { total: 1_024, perUser: 64 }, hung: 1 },
  missedBinds: 3,
  services: [":80", "web"],
  wakeupDefect: true,
  errors: [],
};
