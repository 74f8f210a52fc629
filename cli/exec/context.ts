/** The parts that `exec` with and without --restart need. */

import type { ServerCgroup } from "../../loader/host/server_cgroup.ts";
import type { establishedConnections } from "../../loader/net/accepted_connections.ts";
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { Timeouts } from "./policy.ts";

export interface ExecContext {
  readonly command: readonly string[];
  readonly cgroup: ServerCgroup;
  readonly sidecar: Sidecar;
  /** The SPECs' ports. */
  readonly ports: ReadonlySet<number>;
  /** Counts accepted connections; passed in because the loader is imported lazily. */
  readonly established: typeof establishedConnections;
  readonly timeouts: Timeouts;
  readonly stopSignal: NodeJS.Signals;
  /** Notifies the service manager. */
  notify(state: string): void;
  say(level: "info" | "warn", text: string): void;
}

/** Time between two polls of a start that does not listen yet or is draining, ms. */
export const SUPERVISE_POLL_MS = 25;
