/** exec: runs a server and its sidecar. */
import type { CommandModule } from "yargs";
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import type { Env } from "../env.ts";
import { logger, metricsWarning } from "../output/log.ts";
import { requireCommand } from "../process/spec_command.ts";
import { clear } from "./clear.ts";
import type { ExecContext } from "./context.ts";
import { runOnce } from "./once.ts";
import { type ExecArguments, type ExecRequest, execOptions, execRequest } from "./options.ts";
import { supervise } from "./supervise.ts";

/** Runs the server; returns the exit code. */
async function run(env: Env, request: ExecRequest): Promise<number> {
  const { command, specs, restart, timeouts, stopSignal, metrics } = request;
  requireCommand(command[0], env.vars["PATH"]);
  const { ServerCgroup } = await import("../../loader/host/server_cgroup.ts");
  const { establishedConnections } = await import("../../loader/net/accepted_connections.ts");
  const { notifyService } = await import("../../loader/host/sd_notify.ts");
  const loader = await import("../../loader/sidecar/sidecar.ts");
  const log = logger(env.stderr, request.json);
  const say: ExecContext["say"] = (level, text) =>
    log({ level, event: level === "warn" ? "warning" : "restart", text, fields: {} });
  using cgroup = ServerCgroup.make();
  const sidecar = new loader.Sidecar(
    {
      specs,
      filter: { cgroup: cgroup.path },
      // Supervised: no copy is started by mistake.
      adopt: { cgroup: cgroup.path, max: Number.POSITIVE_INFINITY },
      migrate: "newest",
      // After a restart, new connections go to the new server as soon as it listens.
      route: restart ? "newest" : "kernel",
      hold: request.hold,
      wake: "auto",
      ...request.bpffs,
    },
    (event) => {
      const matters = event.level !== "info" || event.event === "detached_elsewhere";
      if (request.verbose || matters) log(event);
    },
  );
  const metricsServer = metrics
    ? await (await import("../metrics/server.ts")).serveMetrics(metrics, {
        collect: (each) => sidecar.status(each),
        warn: (text) => log(metricsWarning(text)),
      })
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
      timeouts,
      stopSignal,
      notify: (state: string) => notifyService(state, env.vars["NOTIFY_SOCKET"]),
      say,
    };
    try {
      if (!restart) return await runOnce(env, all);
      await supervise(env, all);
      return 0;
    } finally {
      await clear(cgroup, timeouts.stopTimeoutMs);
    }
  } finally {
    await giveBack(sidecar, say);
    await metricsServer?.close();
  }
}

/** Detaches. A failure is only logged: the exit code is that of the server. */
async function giveBack(sidecar: Sidecar, say: ExecContext["say"]): Promise<void> {
  try {
    await sidecar.close();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    say("warn", `not everything was detached: ${why}; run 'reuseport-migrate detach'`);
  }
}

/** @param exitWith called with the exit code of the server */
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
