/** What a sidecar manages, one service or several, and with what. */
import type { PinTree } from "../bpf/pin_tree.ts";
import type { Journal } from "../log.ts";
import type { Observer } from "../observe/observer.ts";
import type { Snapshot } from "../observe/snapshot.ts";
import type { ServiceOptions } from "../service/service.ts";
import type { StoreOptions } from "../store/server.ts";
import type { Clock } from "./clock.ts";
import type { ReconciledGroups } from "./pass.ts";

/** Options that the services of a sidecar share. */
export interface HostOptions {
  readonly bpffs?: string;
  /** Run an fd store as well, from start to close. */
  readonly store?: StoreOptions;
  /** Most groups in all; default: 1,024, or fewer if the limit of open files is low. */
  readonly maxGroups?: number;
  /** Most groups of one user in one network namespace, except root's in our own; default: 64. */
  readonly maxGroupsPerUser?: number;
  /** A group is given up after nothing has listened in it for this long, ms; default: an hour. */
  readonly idleMs?: number;
}

/** One service. */
export interface SidecarOptions extends ServiceOptions, HostOptions {}

/**
 * Several services: a group is managed for the first that covers it. A conflict of one service is
 * logged and retried, and does not stop another.
 */
export interface ServicesOptions extends HostOptions {
  readonly services: readonly ServiceOptions[];
}

/** What a sidecar reports while it watches. */
export interface ReconcilerEvents {
  /** `detach` has taken the last group from us. */
  readonly released?: () => void;
  /** The whole host was read. */
  readonly observed?: () => void;
  /** The groups are in line with what was read last. */
  readonly settled?: (snapshot: Snapshot | null) => void;
}

export interface ReconcilerOptions {
  readonly pinTree: PinTree;
  readonly observer: Pick<Observer, "snapshot" | "snapshotProcesses">;
  readonly groups: ReconciledGroups;
  readonly journal: Journal;
  /** A group is given up after nothing has listened in it for this long. */
  readonly idleMs: number;
  readonly clock?: Clock;
}
