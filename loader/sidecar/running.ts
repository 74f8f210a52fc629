/** What a sidecar has from its start to its close. */
import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import { NotSupportedError } from "../errors.ts";
import { findCgroup2 } from "../host/cgroup.ts";
import type { Journal } from "../log.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
import { BindEvents } from "../observe/bind_events.ts";
import { Observer } from "../observe/observer.ts";
import { ManagedGroups } from "./managed_groups.ts";
import { Reconciler } from "./reconciler.ts";
import type { Service } from "./service.ts";
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
  isClosing: boolean;
}

export function openRunning(
  { bpffs, idleMs = IDLE_MS }: HostOptions,
  services: readonly Service[],
  journal: Journal,
): Running {
  const pinTree = new PinTree(findBpffs(bpffs));
  const observer = new Observer();
  const wakeups = new Wakeups(journal);
  const groups = new ManagedGroups(pinTree, journal, wakeups);
  const reconciler = new Reconciler({ pinTree, observer, groups, journal, idleMs }, services);
  const state = { watching: null, events: null, isClosing: false };
  return { pinTree, observer, groups, wakeups, reconciler, ...state };
}

/** @throws NotSupportedError without cgroup v2, SysError if the kernel refuses */
export function openBindEvents(
  ports: Iterable<number>,
  bound: (pids: ReadonlySet<number>) => void,
): BindEvents {
  const cgroup = findCgroup2();
  if (cgroup === null) throw new NotSupportedError("cgroup v2", "no cgroup v2 is mounted");
  return new BindEvents(cgroup, ports, bound);
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
