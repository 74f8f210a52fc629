/** Runs a sidecar from its start to a signal. */
import { NoMatchError } from "../../loader/errors.ts";
import type { SidecarEvent } from "../../loader/log.ts";
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { Env } from "../env.ts";
import { Endpoint } from "../metrics/endpoint.ts";
import type { MetricsServer } from "../metrics/server.ts";
import type { MetricsAddress } from "../options/metrics_address.ts";
import { type LastingLog, lastingLog, warning } from "../output/log.ts";
import { readyLine } from "../output/ready.ts";
import { sidecarPage } from "../page/sidecar_page.ts";
import { stopped as aborted } from "../process/stopped.ts";
import { type AttachArguments, attachRequest } from "./options.ts";
import { reloadOnSignal } from "./reload.ts";
import { StatusLine } from "./status_line.ts";

/** Without --wait, a sidecar ends that has no group left. */
const RELEASED: SidecarEvent = {
  level: "info",
  event: "released",
  text: "the sidecar ends, as nothing is left to manage and it does not --wait",
  fields: {},
};

const ENDING = ["SIGTERM", "SIGINT"] as const;

/** Runs a sidecar; returns once its groups are detached, or with --keep left attached. */
export async function run(env: Env, args: AttachArguments): Promise<void> {
  // First, before a signal can come. With a file to read again, SIGHUP does not end the sidecar.
  const file = args.config ?? args["web-config"];
  const stopped = file === undefined ? aborted(env) : signalled(env);
  let request = await attachRequest(args);
  const { serviceNotifier, watchdog } = await import("../../loader/host/sd_notify.ts");
  const { Sidecar } = await import("../../loader/sidecar/sidecar.ts");
  const lasting = lastingLog(env, () => request.host.json);
  const sidecar = new Sidecar(request.sidecar, lasting.log);
  const { log } = sidecar.events; // whatever is said is an event
  const endpoint = new Endpoint({
    serve: (address) => serve(address, sidecar, { ...lasting, log }),
    log,
    bpffs: request.host.bpffs,
  });
  let stopReloading = () => {};
  try {
    // With many groups the start takes long: a signal may end it.
    const ended = stopped.then(() => "ended" as const);
    if ((await Promise.race([sidecar.start(), ended])) === "ended") return;
    if (args.once) {
      await lasting.written();
      env.stdout.write(readyLine("ATTACHED", await summary(sidecar), request.host.json));
      await sidecar.close({ keep: true });
      requireAll(sidecar);
      return;
    }
    env.raisePriority?.();
    const notify = serviceNotifier(env.vars["NOTIFY_SOCKET"], (text) =>
      log(warning("service manager", text)),
    );
    const observed = watchdog(env.vars, notify);
    const status = new StatusLine(notify, () => sidecar.outline);
    const isTold = env.vars["NOTIFY_SOCKET"] !== undefined;
    const settled = isTold ? { settled: () => status.update() } : {};
    const detachedElsewhere = new Promise<"released">((resolve) =>
      sidecar.watch({ released: () => resolve("released"), observed, ...settled }),
    );
    await endpoint.open(request.host.metrics);
    await lasting.written();
    const facts = `${await readiness(sidecar)} metrics=${endpoint.url}`;
    env.stdout.write(readyLine("READY", facts, request.host.json));
    status.ready();
    if (file !== undefined) {
      const running = { sidecar, endpoint, notify, status, get: () => request };
      stopReloading = reloadOnSignal(env, args, running, (next) => {
        request = next;
      });
    }
    const how = await Promise.race([detachedElsewhere, stopped]);
    if (how === "released") log(RELEASED);
    notify("STOPPING=1");
  } finally {
    stopReloading();
    try {
      await sidecar.close({ keep: request.host.keep });
    } finally {
      await endpoint.close();
    }
  }
}

async function serve(
  address: MetricsAddress,
  sidecar: Sidecar,
  log: LastingLog,
): Promise<MetricsServer> {
  const { serveMetrics } = await import("../metrics/server.ts");
  const source = {
    collect: sidecar.status.bind(sidecar),
    store: () => sidecar.store,
  };
  return serveMetrics(address, source, log, sidecarPage(sidecar));
}

/** @throws NoMatchError if a SPEC covered no group, and no process will wait for one */
function requireAll({ unmatched: { specs } }: Sidecar): void {
  const missing = specs.filter(({ service }) => !service.waits).map(({ spec }) => spec.text);
  if (missing.length === 0) return;
  const text = "no process waits for their servers (--once); attach again once they listen";
  throw new NoMatchError(`not attached: ${missing.join(", ")}: ${text}`);
}

/** Returns the summary, and the SPECs that covered no group when the sidecar looked for them. */
async function readiness(sidecar: Sidecar): Promise<string> {
  const uncovered = sidecar.unmatched.specs.map(({ spec }) => spec.text);
  const waiting = uncovered.length > 0 ? ` waiting=${uncovered.join(",")}` : "";
  return `${await summary(sidecar)}${waiting}`;
}

/** Returns the numbers of groups and listeners. */
export async function summary(sidecar: Sidecar): Promise<string> {
  const { groups } = await sidecar.status();
  const listeners = groups.flatMap((group) => group.listeners);
  const served = listeners.filter(({ role }) => role !== "standby");
  return `groups=${groups.length} listeners=${served.length}`;
}

/** Resolves on a signal that ends a sidecar with files to read again: any except SIGHUP. */
function signalled(env: Env): Promise<void> {
  return new Promise((resolve) => {
    if (env.stop.aborted && env.stop.reason !== "SIGHUP") resolve();
    env.onSignals(ENDING, () => resolve());
  });
}
