/** exec: runs a server and its sidecar. */
import type { CommandModule } from "yargs";
import { UsageError } from "../../loader/errors.ts";
import type { Sidecar } from "../../loader/sidecar/sidecar.ts";
import { servedAt } from "../config/served_at.ts";
import type { Env } from "../env.ts";
import type { Collect } from "../metrics/exporter.ts";
import { lastingLog } from "../output/log.ts";
import { sidecarPage } from "../page/sidecar_page.ts";
import { requireCommand } from "../process/spec_command.ts";
import { clear } from "./clear.ts";
import type { ExecContext } from "./context.ts";
import { runOnce } from "./once.ts";
import { type ExecArguments, type ExecRequest, execOptions, execRequest } from "./options.ts";
import { listensOn } from "./progress.ts";
import { ServiceManager } from "./service_manager.ts";
import { supervise } from "./supervise.ts";

/** Runs the server; returns the exit code. */
async function run(env: Env, request: ExecRequest): Promise<number> {
  const { command, specs, restart, timeouts, stopSignal } = request;
  requireCommand(command[0], env.vars["PATH"]);
  refuseSocketUnit(env.vars);
  const metrics = await servedAt(request.metrics, request.webConfig);
  const { Reaper } = await import("../../loader/host/reaper.ts");
  const { ServerCgroup } = await import("../../loader/host/server_cgroup.ts");
  const { ServerSockets } = await import("../../loader/observe/server_sockets.ts");
  const { serviceNotifier, watchdogMs } = await import("../../loader/host/sd_notify.ts");
  const loader = await import("../../loader/sidecar/sidecar.ts");
  const { Endpoint } = await import("../metrics/endpoint.ts");
  const lasting = lastingLog(env, () => request.json);
  const { log } = lasting;
  const say: ExecContext["say"] = (level, text) =>
    log({ level, event: level === "warn" ? "warning" : "restart", text, fields: {} });
  using _reaper = new Reaper((reap) => env.onSignals(["SIGCHLD"], reap));
  using cgroup = ServerCgroup.make();
  using sockets = new ServerSockets();
  const sidecar = new loader.Sidecar(
    {
      specs,
      filter: { cgroup: cgroup.path },
      // Supervised: no copy is started by mistake.
      adopt: { cgroup: cgroup.path, max: Number.POSITIVE_INFINITY },
      migrate: "newest",
      // After a restart, new connections go to the new server as soon as it is ready.
      route: restart ? "newest" : "kernel",
      hold: request.hold,
      ...(request.readyCheck ? { readyCheck: request.readyCheck, readyFirst: true } : {}),
      wake: "auto",
      ...request.bpffs,
    },
    (event) => {
      const matters = event.level !== "info" || event.event === "detached_elsewhere";
      if (request.verbose || matters) log(event);
    },
  );
  using manager = new ServiceManager(
    serviceNotifier(env.vars["NOTIFY_SOCKET"], (text) => say("warn", text)),
    watchdogMs(env.vars),
    async () => listensOn(await sidecar.status(), cgroup).size > 0,
  );
  const collect: Collect = (each) => sidecar.status(each);
  const endpoint = new Endpoint({
    serve: async (address) =>
      (await import("../metrics/server.ts")).serveMetrics(
        address,
        { collect },
        lasting,
        sidecarPage(sidecar),
      ),
    log,
    ...request.bpffs,
  });
  try {
    await sidecar.start();
    sidecar.watch();
    await endpoint.open(metrics);
    const all = { command, cgroup, sidecar, specs, sockets, timeouts, stopSignal, manager, say };
    try {
      if (!restart) return await runOnce(env, all);
      await supervise(env, all);
      return 0;
    } finally {
      await clear(cgroup, timeouts.stopTimeoutMs);
    }
  } finally {
    await giveBack(sidecar, say);
    await endpoint.close();
  }
}

/**
 * Refuses descriptors of a socket unit (sd_listen_fds(3)): systemd keeps such a listener open, so
 * that nothing is lost, and exec can neither adopt it nor tell its starts apart.
 * @throws UsageError
 */
function refuseSocketUnit({ LISTEN_FDS: count, LISTEN_PID: pid }: Env["vars"]): void {
  if (!(Number(count) > 0) || pid !== String(process.pid)) return;
  throw new UsageError(
    `exec passes on no descriptors of a socket unit (LISTEN_FDS=${count}): disable that unit, so that the server listens by itself`,
  );
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
