/**
 * SIGHUP: reads the config file and the web configuration again and applies the changes. A file with
 * a mistake is refused.
 */
import { UsageError } from "../../loader/errors.ts";
import type { EventName } from "../../loader/log.ts";
import type { Reloaded } from "../../loader/service/service_diff.ts";
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { Env } from "../env.ts";
import type { Endpoint } from "../metrics/endpoint.ts";
import { type AttachArguments, type AttachRequest, attachRequest } from "./options.ts";
import type { StatusLine } from "./status_line.ts";

/** Options that cannot change while the sidecar runs, by their names in a file. */
const KEYS = {
  bpffs: "bpffs",
  store: "store",
  maxGroups: "max_groups",
  maxGroupsPerUser: "max_groups_per_user",
} as const;

/** The running parts that a reload changes. */
export interface RunningConfig {
  readonly sidecar: Sidecar;
  readonly endpoint: Endpoint;
  /** Notifies the service manager. */
  notify(state: string): void;
  readonly status: StatusLine;
  /** Returns the options in force. */
  get(): AttachRequest;
}

/**
 * Reloads on every SIGHUP, one after the other; the result stops that.
 * @param inForce called with the options in force from then on
 */
export function reloadOnSignal(
  env: Env,
  args: AttachArguments,
  running: RunningConfig,
  inForce: (request: AttachRequest) => void,
): () => void {
  let ended = false;
  let last = Promise.resolve();
  const reload = () => {
    last = last.then(() => (ended ? undefined : reloadOnce(args, running, inForce)));
  };
  const unsubscribe = env.onSignals(["SIGHUP"], reload);
  // SIGHUP may have come before the handler was set.
  if (env.stop.reason === "SIGHUP") reload();
  return () => {
    ended = true;
    unsubscribe();
  };
}

/** Never throws: after an error the options in force stay. */
async function reloadOnce(
  args: AttachArguments,
  running: RunningConfig,
  inForce: (request: AttachRequest) => void,
): Promise<void> {
  const { sidecar, endpoint } = running;
  const file = args.config ?? args["web-config"];
  // The clock that Type=notify-reload of systemd compares (sd_notify(3)).
  running.notify(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  const say = (level: "info" | "error", event: EventName, text: string) =>
    sidecar.events.log({ level, event, text, fields: {} });
  let refusal: string | null = null;
  try {
    const next = await attachRequest(args);
    const lasting = (Object.keys(KEYS) as (keyof typeof KEYS)[]).find(
      (key) => next.host[key] !== running.get().host[key],
    );
    if (lasting) {
      throw new UsageError(
        `${next.where(KEYS[lasting])}: it cannot change while the sidecar runs; restart the sidecar`,
      );
    }
    await endpoint.serveAt(next.host.metrics);
    const report =
      "services" in next.sidecar ? summaryOf(await sidecar.reload(next.sidecar.services)) : "read";
    inForce(next);
    say("info", "reloaded", `${file}: ${report}`);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const lines = text.split("\n");
    for (const line of lines) say("error", "reload_refused", line);
    say("error", "reload_refused", `${file} is refused: the previous configuration stays in force`);
    refusal = lines[0] ?? null;
  }
  running.status.ready(refusal);
}

/** `added web; unchanged api, db`. */
function summaryOf(report: Reloaded): string {
  const parts = Object.entries(report).flatMap(([what, names]: [string, readonly string[]]) =>
    names.length > 0 ? [`${what} ${names.join(", ")}`] : [],
  );
  return parts.join("; ") || "no service";
}
