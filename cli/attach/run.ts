/** Runs a sidecar from its start to a signal. */
import type { Log } from "../../loader/log.ts";
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { Env } from "../env.ts";
import { logger, metricsWarning } from "../output/log.ts";
import { stopped as aborted } from "../process/stopped.ts";
import { Endpoint } from "./metrics_endpoint.ts";
import { type AttachArguments, attachRequest } from "./options.ts";
import { reloadOnSignal } from "./reload.ts";

const ENDING = ["SIGTERM", "SIGINT"] as const;

/** Runs a sidecar; returns once its groups are detached, or with --keep left attached. */
export async function run(env: Env, args: AttachArguments): Promise<void> {
  // First, before a signal can come. With a config, SIGHUP does not end the sidecar.
  const stopped = args.config === undefined ? aborted(env) : signalled(env);
  let request = await attachRequest(args);
  const { notifyService } = await import("../../loader/host/sd_notify.ts");
  const { Sidecar } = await import("../../loader/sidecar/sidecar.ts");
  const log: Log = (event) => logger(env.stderr, request.host.json)(event);
  const sidecar = new Sidecar(request.sidecar, log);
  const endpoint = new Endpoint(sidecar, (text) => log(metricsWarning(text)));
  let stopReloading = () => {};
  try {
    // First: if the port is taken, nothing is attached yet.
    if (!args.once) await endpoint.serveAt(request.host.metrics);
    // With many groups the start takes long: a signal may end it.
    const ended = stopped.then(() => "ended" as const);
    if ((await Promise.race([sidecar.start(), ended])) === "ended") return;
    if (args.once) {
      env.stdout.write(`ATTACHED ${await summary(sidecar)}\n`);
      await sidecar.close({ keep: true });
      return;
    }
    env.raisePriority?.();
    const notify = (state: string) => notifyService(state, env.vars["NOTIFY_SOCKET"]);
    const detachedElsewhere = new Promise<void>((resolve) => sidecar.watch(resolve));
    env.stdout.write(`READY ${await summary(sidecar)} metrics=${endpoint.url}\n`);
    const ready = async () => notify(`READY=1\nSTATUS=${await summary(sidecar)}`);
    await ready();
    if (args.config !== undefined) {
      const running = { sidecar, endpoint, notify, ready, get: () => request };
      stopReloading = reloadOnSignal(env, args, running, (next) => {
        request = next;
      });
    }
    await Promise.race([detachedElsewhere, stopped]);
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

/** Returns the numbers of groups and listeners. */
export async function summary(sidecar: Sidecar): Promise<string> {
  const { groups } = await sidecar.status();
  const listeners = groups.flatMap((group) => group.listeners);
  const served = listeners.filter(({ role }) => role !== "standby");
  return `groups=${groups.length} listeners=${served.length}`;
}

/** Resolves on a signal that ends a sidecar with a config: any except SIGHUP. */
function signalled(env: Env): Promise<void> {
  return new Promise((resolve) => {
    if (env.stop.aborted && env.stop.reason !== "SIGHUP") resolve();
    env.onSignals(ENDING, () => resolve());
  });
}
