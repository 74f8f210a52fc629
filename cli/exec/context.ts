/** What both ways of running the server have in hand. */

import type { ServerCgroup } from "../../loader/host/server_cgroup.ts";
import type { establishedConnections } from "../../loader/net/accepted_connections.ts";
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { Times } from "./policy.ts";

export interface ExecContext {
  readonly command: readonly string[];
  readonly cgroup: ServerCgroup;
  readonly sidecar: Sidecar;
  /** The SPECs' ports. */
  readonly ports: ReadonlySet<number>;
  /** Accepted connections that processes still have; of the loader, which is imported lazily. */
  readonly established: typeof establishedConnections;
  readonly times: Times;
  readonly stopSignal: NodeJS.Signals;
  /** Tells the service manager. */
  notify(state: string): void;
  say(level: "info" | "warn", text: string): void;
}

/** How often a start that has not listened yet, or that is draining, is looked at. */
export const SUPERVISE_POLL_MS = 25;
