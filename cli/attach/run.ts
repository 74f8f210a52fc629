/** The life of a sidecar: from its start to a signal. */
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { Env } from "../env.ts";
import { logger } from "../output/log.ts";
import { stopped as aborted } from "../process/stopped.ts";
import { Endpoint } from "./metrics_endpoint.ts";
import { type AttachArguments, attachRequest } from "./options.ts";
import { reloadOnSignal } from "./reload.ts";

const ENDING = ["SIGTERM", "SIGINT"] as const;

/** Runs it; returns when it has given back, or left, what it managed. */
export async function run(env: Env, args: AttachArguments): Promise<void> {
  // Before anything takes time: with a config SIGHUP means something else than an end.
  const stopped = args.config === undefined ? aborted(env) : signalled(env);
  let asked = await attachRequest(args);
  const { notifyService } = await import("../../loader/host/sd_notify.ts");
  const { Sidecar } = await import("../../loader/sidecar/sidecar.ts");
  const sidecar = new Sidecar(asked.sidecar, (event) => logger(env.stderr, asked.host.json)(event));
  const endpoint = new Endpoint(sidecar);
  let stopReloading = () => {};
  try {
    // The port first: when it is taken, nothing has been attached yet.
    if (!args.once) await endpoint.serveAt(asked.host.metrics);
    // With many groups it takes a while, in which it can be told to end.
    const ended = stopped.then(() => "ended" as const);
    if ((await Promise.race([sidecar.start(), ended])) === "ended") return;
    if (args.once) {
      env.stdout.write(`ATTACHED ${await summary(sidecar)}\n`);
      await sidecar.close({ keep: true });
      return;
    }
    env.hurry?.();
    const notify = (state: string) => notifyService(state, env.vars["NOTIFY_SOCKET"]);
    const released = new Promise<void>((resolve) => sidecar.watch(resolve));
    env.stdout.write(`READY ${await summary(sidecar)} metrics=${endpoint.url}\n`);
    const ready = async () => notify(`READY=1\nSTATUS=${await summary(sidecar)}`);
    await ready();
    if (args.config !== undefined) {
      const running = { sidecar, endpoint, notify, ready, get: () => asked };
      stopReloading = reloadOnSignal(env, args, running, (next) => {
        asked = next;
      });
    }
    await Promise.race([released, stopped]);
    notify("STOPPING=1");
  } finally {
    stopReloading();
    try {
      await sidecar.close({ keep: asked.host.keep });
    } finally {
      await endpoint.close();
    }
  }
}

/** What is managed, in a line. */
export async function summary(sidecar: Sidecar): Promise<string> {
  const { groups } = await sidecar.status();
  const listeners = groups.flatMap((group) => group.listeners);
  const served = listeners.filter(({ role }) => role !== "standby");
  return `groups=${groups.length} listeners=${served.length}`;
}

/** A signal that ends it, SIGHUP left out. */
function signalled(env: Env): Promise<void> {
  return new Promise((resolve) => {
    if (env.stop.aborted && env.stop.reason !== "SIGHUP") resolve();
    env.onSignals(ENDING, () => resolve());
  });
}
