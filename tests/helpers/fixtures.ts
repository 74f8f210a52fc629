/** Status objects for tests without a kernel. */
import type {
  GroupStatus,
  HoldCounts,
  KernelMigrations,
  ListenerStatus,
  Status,
} from "../../loader/index.ts";

export function listenerStatus(change: Partial<ListenerStatus>): ListenerStatus {
  return {
    cookie: 1n,
    protocol: "tcp",
    slot: 0,
    generation: 1,
    role: "target",
    class: 1,
    owners: [{ pid: 10, fd: 3, comm: "nginx", startMs: 0 }],
    queueLength: 0,
    queueLimit: 100,
    halfOpen: 0,
    migratedOut: 0,
    migratedInto: 0,
    ...change,
  };
}

/** Returns the counts of a group in which nothing was held. */
export function holdCounts(change: Partial<HoldCounts> = {}): HoldCounts {
  return {
    started: 0,
    handed_over: 0,
    expired: 0,
    released: 0,
    sumMs: 0,
    buckets: [],
    connections: { handed_over: 0, reset: 0 },
    ...change,
  };
}

/** Returns a group of `port` (80 by default) with the given fields changed. */
export function groupStatus({
  port = 80,
  ...change
}: Partial<GroupStatus> & { readonly port?: number } = {}): GroupStatus {
  return {
    name: "7-ipv4-0_0_0_0-80",
    service: `:${port}`,
    key: { netns: 7, family: "ipv4", address: "0.0.0.0", port, ifindex: 0, v6only: false },
    netnsName: null,
    uid: 0,
    ownedBy: [],
    attached: true,
    programId: 1,
    firstProgramId: 1,
    migrate: "newest",
    route: "kernel",
    settings: "prefer",
    optionDifferences: [],
    attachments: 1,
    sidecar: null,
    generation: 1,
    listeners: [],
    decisions: [],
    wakeups: 0,
    hold: null,
    holds: holdCounts(),
    closed: { out: 0, into: 0 },
    run: { timeNs: 0, count: 0 },
    ...change,
  };
}

/**
 * @param failures the kernel's count of failures in the groups' namespace; null if it is unreadable
 * @param kernel its other counts
 */
export function statusOf(
  groups: readonly GroupStatus[],
  failures: number | null,
  kernel: Partial<KernelMigrations> = {},
): Status {
  const counts = { success: 0, failure: failures ?? 0, overflows: 0, ...kernel };
  const counted = failures === null ? [] : ([[7, counts]] as const);
  return {
    groups,
    adoptions: [],
    unattached: [],
    unmanaged: [],
    sidecars: [],
    kernel: new Map(counted),
    errors: [],
  };
}
