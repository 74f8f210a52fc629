/** exec: the server and its sidecar in one command. */
import type { CommandModule } from "yargs";
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { Env } from "../env.ts";
import { logger } from "../output/log.ts";
import { requireCommand } from "../process/spec_command.ts";
import { clear } from "./clear.ts";
import type { ExecContext } from "./context.ts";
import { runOnce } from "./once.ts";
import { type ExecArguments, type ExecRequest, execOptions, execRequest } from "./options.ts";
import { supervise } from "./supervise.ts";

/** Runs the server; returns the exit code. */
async function run(env: Env, wanted: ExecRequest): Promise<number> {
  const { command, specs, restart, times, stopSignal, metrics } = wanted;
  requireCommand(command[0], env.vars["PATH"]);
  const { ServerCgroup } = await import("../../loader/host/server_cgroup.ts");
  const { establishedConnections } = await import("../../loader/net/accepted_connections.ts");
  const { notifyService } = await import("../../loader/host/sd_notify.ts");
  const loader = await import("../../loader/sidecar/sidecar.ts");
  const log = logger(env.stderr, wanted.json);
  const say: ExecContext["say"] = (level, text) =>
    log({ level, event: level === "warn" ? "warning" : "restart", text, fields: {} });
  using cgroup = ServerCgroup.make();
  const sidecar = new loader.Sidecar(
    {
      specs,
      filter: { cgroup: cgroup.path },
      // Supervised: nobody starts a copy by mistake.
      adopt: { cgroup: cgroup.path, max: Number.POSITIVE_INFINITY },
      migrate: "newest",
      // A restart's new one is to have the new connections as soon as it listens.
      route: restart ? "newest" : "kernel",
      hold: wanted.hold,
      wake: "auto",
      ...wanted.bpffs,
    },
    (event) => {
      const matters = event.level !== "info" || event.event === "detached_elsewhere";
      if (wanted.verbose || matters) log(event);
    },
  );
  const metricsServer = metrics
    ? await (await import("../metrics/server.ts")).serveMetrics(metrics, (each) =>
        sidecar.status(each),
      )
    : null;
  try {
    await sidecar.start();
    sidecar.watch();
    const all = {
      command,
      cgroup,
      sidecar,
      ports: new Set(specs.map(({ port }) => port)),
      established: establishedConnections,
      times,
      stopSignal,
      notify: (state: string) => notifyService(state, env.vars["NOTIFY_SOCKET"]),
      say,
    };
    try {
      if (!restart) return await runOnce(env, all);
      await supervise(env, all);
      return 0;
    } finally {
      await clear(cgroup, times.stopTimeoutMs);
    }
  } finally {
    await giveBack(sidecar, say);
    await metricsServer?.close();
  }
}

/** The server has ended, and its exit code is what matters: a failure here is only said. */
async function giveBack(sidecar: Sidecar, say: ExecContext["say"]): Promise<void> {
  try {
    await sidecar.close();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    say("warn", `not everything is given back, 'reuseport-migrate detach' does that: ${why}`);
  }
}

/** @param exitWith takes the exit code: the server's */
export function execCommand(
  env: Env,
  exitWith: (code: number) => void,
): CommandModule<object, ExecArguments> {
  return {
    command: "exec <spec..>",
    describe: "Run a server with a sidecar of its own, and restart it without loss",
    builder: execOptions,
    handler: async (args) => exitWith(await run(env, execRequest(args))),
  };
}
