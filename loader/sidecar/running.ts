/** What a sidecar has from its start to its close. */
import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import { markSidecar } from "../bpf/sidecar_marks.ts";
import type { GroupLimits } from "../core/group_budget.ts";
import { AbsentError, NotSupportedError } from "../errors.ts";
import type { EventLog } from "../events/event_log.ts";
import { findCgroup2 } from "../host/cgroup.ts";
import { openFilesLimit } from "../host/open_files.ts";
import { watchHangs } from "../lender/hangs.ts";
import { keepLender } from "../lender/lender.ts";
import { type Journal, type Log, message } from "../log.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
import { BindEvents, type Bound } from "../observe/bind_events.ts";
import { Observer } from "../observe/observer.ts";
import { Owned } from "../owned.ts";
import type { Service } from "../service/service.ts";
import { STORE_LIMITS } from "../store/limits.ts";
import type { StoreServer } from "../store/server.ts";
import { ManagedGroups } from "./managed_groups.ts";
import { RECONCILE_MS } from "./poll_schedule.ts";
import { Reconciler } from "./reconciler.ts";
import type { HostOptions } from "./sidecar_options.ts";
import { Wakeups } from "./wakeups.ts";

/**
 * A group is given up after nothing has listened in it for this long: a container may never return.
 */
const IDLE_MS = 3_600_000;

export interface Running {
  readonly pinTree: PinTree;
  readonly observer: Observer;
  readonly groups: ManagedGroups;
  readonly wakeups: Wakeups;
  readonly reconciler: Reconciler;
  /** Resolved when polling has stopped; null until it begins. */
  watching: Promise<void> | null;
  events: BindEvents | null;
  /** Ends the lender, warnings about processes that hang, events, and the mark of a sidecar. */
  readonly releaseLender: () => void;
  isClosing: boolean;
}

export function openRunning(
  options: HostOptions,
  services: readonly Service[],
  journal: Journal,
  events: EventLog,
): Running {
  const { bpffs, idleMs = IDLE_MS } = options;
  const limits = groupLimits(options);
  const pinTree = new PinTree(findBpffs(bpffs));
  using own = new Owned();
  const observer = own.use(new Observer());
  const wakeups = new Wakeups(journal);
  const groups = new ManagedGroups(pinTree, journal, wakeups, limits);
  const reconciler = new Reconciler({ pinTree, observer, groups, journal, idleMs }, services);
  const steps = [
    markSidecar(pinTree),
    events.open(pinTree),
    watchHangs(({ about, text }) => journal.warn(about, text)),
    keepLender(),
  ];
  const releaseLender = () => {
    for (const step of steps) step();
  };
  const state = { watching: null, events: null, isClosing: false, releaseLender };
  return own.release({ pinTree, observer, groups, wakeups, reconciler, ...state });
}

/** Opens the store that the options ask for; null if they do not, or if the sidecar closes. */
export async function openStore(
  running: Running,
  { store }: HostOptions,
  log: Log,
): Promise<StoreServer | null> {
  if (!store) return null;
  const { StoreServer } = await import("../store/server.ts"); // most sidecars run none
  return running.isClosing ? null : new StoreServer(store, log);
}

/** Limits of the number of groups, unless others are given. */
const MAX_GROUPS = 1_024;
const MAX_GROUPS_PER_USER = 64;
/** Descriptors of a group: 12 for its maps and program, a lock, a standby, a ready check, a waker. */
const GROUP_FDS = 17;
/** Descriptors for everything else: 32 clients of /metrics, the iterator, bind events, borrowing. */
const OTHER_FDS = 128;

/** @throws AbsentError if the process may not open the files for so many groups */
function groupLimits({ maxGroups, maxGroupsPerUser, store }: HostOptions): GroupLimits {
  const { fds, clients } = { ...STORE_LIMITS, ...store?.limits };
  const others = OTHER_FDS + (store ? fds + clients : 0);
  const open = openFilesLimit();
  const possible = Math.max(1, Math.floor((open - others) / GROUP_FDS));
  if (maxGroups !== undefined && maxGroups > possible) {
    throw new AbsentError(
      `${maxGroups} groups require ${maxGroups * GROUP_FDS + others} open files, but the limit is ${open}: lower --max-groups, or raise the limit (ulimit -n, LimitNOFILE=)`,
    );
  }
  return {
    total: maxGroups ?? Math.min(MAX_GROUPS, possible),
    perUser: maxGroupsPerUser ?? MAX_GROUPS_PER_USER,
  };
}

/** Has binds reported that may be of a listener of a service. */
export function listenToBinds(running: Running, journal: Journal): void {
  const { reconciler } = running;
  try {
    running.events ??= openBindEvents((pids, tookMs) => reconciler.addBinds(pids, tookMs));
    reconciler.binds = running.events;
    reconciler.watch();
  } catch (error) {
    const effect = `a new listener becomes a target within ${RECONCILE_MS} ms`;
    journal.warn("events", `no bind events (${message(error)}): ${effect}`);
  }
}

/** @throws NotSupportedError without cgroup v2, SysError if the kernel refuses */
function openBindEvents(bound: Bound): BindEvents {
  const cgroup = findCgroup2();
  if (cgroup === null) throw new NotSupportedError("cgroup v2", "no cgroup v2 is mounted");
  return new BindEvents(cgroup, [], bound);
}

/** Probes whether this kernel wakes destinations, and wakes them if it does not. */
export async function probeWakeups(
  running: Running,
  services: readonly Service[],
  journal: Journal,
): Promise<void> {
  const { wakeups, pinTree, groups } = running;
  try {
    if (!(await wakeups.probe(services)) || running.isClosing) return;
    using _lock = await pinTree.lock();
    if (!running.isClosing) groups.applyWakeups();
  } catch (error) {
    if (!running.isClosing) journal.warn("wake", message(error));
  }
}

/**
 * Detaches groups and removes their pins.
 * @requires the pin tree's lock
 */
export function detachGroups(
  { groups, observer }: Running,
  isIncluded: (managed: ManagedGroup) => boolean,
): Promise<void> {
  return groups.detach(async () => (await observer.snapshot()).groups, isIncluded);
}
