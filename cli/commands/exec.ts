/** exec: the server and its sidecar in one command. */
import type { CommandModule } from "yargs";
import type { Sidecar } from "../../loader/index.ts";
import { requireCommand } from "../command.ts";
import type { Env } from "../env.ts";
import { clear } from "../exec/clear.ts";
import { runOnce } from "../exec/once.ts";
import { type Arguments, options, type Request, request } from "../exec/request.ts";
import type { Run } from "../exec/run.ts";
import { supervise } from "../exec/supervise.ts";
import { logger } from "../log.ts";

/** Runs the server; returns the exit code. */
async function run(env: Env, wanted: Request): Promise<number> {
  const { command, specs, restart, times, stopSignal, metrics } = wanted;
  requireCommand(command[0], env.vars["PATH"]);
  const loader = await import("../../loader/index.ts");
  const log = logger(env.stderr, wanted.json);
  const say: Run["say"] = (level, text) =>
    log({ level, event: level === "warn" ? "warning" : "restart", text, fields: {} });
  using cgroup = loader.ServerCgroup.make();
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
      const matters = event.level !== "info" || event.event === "released";
      if (wanted.verbose || matters) log(event);
    },
  );
  const metricsServer = metrics
    ? await (await import("../server.ts")).serveMetrics(metrics, (each) => sidecar.tellStatus(each))
    : null;
  try {
    sidecar.start();
    sidecar.watch();
    const all = {
      command,
      cgroup,
      sidecar,
      ports: new Set(specs.map(({ port }) => port)),
      established: loader.establishedConnections,
      times,
      stopSignal,
      notify: (state: string) => loader.notifyService(state, env.vars["NOTIFY_SOCKET"]),
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
    giveBack(sidecar, say);
    await metricsServer?.close();
  }
}

/** The server has ended, and its exit code is what matters: a failure here is only said. */
function giveBack(sidecar: Sidecar, say: Run["say"]): void {
  try {
    sidecar.close();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    say("warn", `not everything is given back, 'reuseport-migrate detach' does that: ${why}`);
  }
}

/** @param exitWith takes the exit code: the server's */
export function execCommand(
  env: Env,
  exitWith: (code: number) => void,
): CommandModule<object, Arguments> {
  return {
    command: "exec <spec..>",
    describe: "Run a server with a sidecar of its own, and restart it without loss",
    builder: options,
    handler: async (args) => exitWith(await run(env, request(args))),
  };
}
