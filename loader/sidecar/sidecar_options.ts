/** What a sidecar is to look after: one service, or several. */

import type { StoreOptions } from "../store/server.ts";
import type { ServiceOptions } from "./service.ts";

/** A group without a listener for this long is given up: its namespace may be gone for good. */
export const IDLE_MS = 3_600_000;

/** What all services of a sidecar share. */
interface HostOptions {
  readonly bpffs?: string;
  /** Run an fd store as well, from start to close. */
  readonly store?: StoreOptions;
  /** As {@link IDLE_MS}, ms. */
  readonly idleMs?: number;
}

/** One service. */
export interface SidecarOptions extends ServiceOptions, HostOptions {}

/** Several: a group is managed for the first that covers it. What one is refused is said and tried again; the others go on. */
export interface ServicesOptions extends HostOptions {
  readonly services: readonly ServiceOptions[];
}
