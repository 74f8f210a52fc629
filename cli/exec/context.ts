/** The parts that `exec` with and without --restart need. */

import type { Spec } from "../../loader/core/spec.ts";
import type { ServerCgroup } from "../../loader/host/server_cgroup.ts";
import type { ServerSockets } from "../../loader/observe/server_sockets.ts";
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { Timeouts } from "./policy.ts";
import type { ServiceManager } from "./service_manager.ts";

export interface ExecContext {
  readonly command: readonly string[];
  readonly cgroup: ServerCgroup;
  readonly sidecar: Sidecar;
  readonly specs: readonly Spec[];
  readonly sockets: ServerSockets;
  readonly timeouts: Timeouts;
  readonly stopSignal: NodeJS.Signals;
  readonly manager: ServiceManager;
  say(level: "info" | "warn", text: string): void;
}

/** Signals that end `exec` with --restart, and as a rule a server without it. */
export const ENDING = ["SIGTERM", "SIGINT", "SIGQUIT"] as const;

/** Time between two polls of a start that is not ready yet or is draining, ms. */
export const SUPERVISE_POLL_MS = 25;
