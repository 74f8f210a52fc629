/** What a sidecar manages: one service, or several. */

import type { StoreOptions } from "../store/server.ts";
import type { ServiceOptions } from "./service.ts";

/** Options that the services of a sidecar share. */
export interface HostOptions {
  readonly bpffs?: string;
  /** Run an fd store as well, from start to close. */
  readonly store?: StoreOptions;
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
