/** SIGHUP: the config file is read again, and what changed is put in force. A bad one is refused whole. */
import { UsageError } from "../../loader/errors.ts";
import type { Reloaded } from "../../loader/sidecar/service_diff.ts";
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { Env } from "../env.ts";
import { logger } from "../output/log.ts";
import type { Endpoint } from "./metrics_endpoint.ts";
import { type AttachArguments, type AttachRequest, attachRequest } from "./options.ts";

/** What a reload changes. */
export interface Running {
  readonly sidecar: Sidecar;
  readonly endpoint: Endpoint;
  /** Tells the service manager. */
  notify(state: string): void;
  ready(): Promise<void>;
  /** What is in force. */
  get(): AttachRequest;
}

/**
 * Reloads on every SIGHUP, one after the other; the result ends that.
 * @param inForce called with what is in force from then on
 */
export function reloadOnSignal(
  env: Env,
  args: AttachArguments,
  running: Running,
  inForce: (request: AttachRequest) => void,
): () => void {
  let ended = false;
  let last = Promise.resolve();
  const reload = () => {
    last = last.then(() => (ended ? undefined : reloadOnce(env, args, running, inForce)));
  };
  const unsubscribe = env.onSignals(["SIGHUP"], reload);
  // It may have come before we listened for it.
  if (env.stop.reason === "SIGHUP") reload();
  return () => {
    ended = true;
    unsubscribe();
  };
}

/** Never throws: what was in force stays. */
async function reloadOnce(
  env: Env,
  args: AttachArguments,
  running: Running,
  inForce: (request: AttachRequest) => void,
): Promise<void> {
  const { sidecar, endpoint } = running;
  // Of the clock that systemd's Type=notify-reload compares (sd_notify(3)).
  running.notify(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  const say = (level: "info" | "error", event: string, text: string) =>
    logger(env.stderr, running.get().host.json)({ level, event, text, fields: {} });
  try {
    const next = await attachRequest(args);
    const lasting = (["bpffs", "store"] as const).find(
      (key) => next.host[key] !== running.get().host[key],
    );
    if (lasting) {
      throw new UsageError(`${next.where(lasting)}: cannot change while it runs: restart it`);
    }
    if (!("services" in next.sidecar)) throw new Error("a config has services");
    await endpoint.serveAt(next.host.metrics);
    const report = await sidecar.reload(next.sidecar.services);
    inForce(next);
    say("info", "reloaded", `${args.config}: ${summaryOf(report)}`);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    for (const line of text.split("\n")) say("error", "reload_refused", line);
    say("error", "reload_refused", `${args.config} is refused; what was in force stays`);
  }
  await running.ready();
}

/** `added web; unchanged api, db`. */
function summaryOf(report: Reloaded): string {
  const parts = Object.entries(report).flatMap(([what, names]: [string, readonly string[]]) =>
    names.length > 0 ? [`${what} ${names.join(", ")}`] : [],
  );
  return parts.join("; ") || "no service";
}
