/** exec: the server and its sidecar in one command. */
import { constants } from "node:os";
import type { Argv, CommandModule } from "yargs";
import { UsageError } from "../../loader/errors.ts";
import type { Sidecar } from "../../loader/index.ts";
import type { Spec } from "../../loader/spec.ts";
import type { Env } from "../env.ts";
import { clear } from "../exec/clear.ts";
import { requireCommand } from "../exec/command.ts";
import { runOnce } from "../exec/once.ts";
import type { Times } from "../exec/policy.ts";
import type { Run } from "../exec/run.ts";
import { supervise } from "../exec/supervise.ts";
import { logger } from "../log.ts";
import { bpffsOf, bpffsOption, duration, once, specs } from "../options.ts";
import { type MetricsAddress, parseMetricsAddress, serveMetrics } from "../server.ts";

const HOUR_MS = 3_600_000;

const DEFAULTS = {
  startTimeout: "30s",
  drain: "5s",
  stopTimeout: "10s",
  stopSignal: "SIGTERM",
  metrics: "off",
} as const;

function options(yargs: Argv): Argv<Arguments> {
  const text = { type: "string", requiresArg: true } as const;
  return yargs
    .usage("$0 exec SPEC.. [options] -- COMMAND [ARG..]\n\nRun a server with a sidecar of its own.")
    .positional("spec", {
      type: "string",
      array: true,
      demandOption: true,
      describe: "where the server listens: ':8080' (every address), '127.0.0.1:8080', '[::1]:8080'",
    })
    .option("restart", {
      type: "boolean",
      describe:
        "start it again when it exits, and on SIGHUP: the new one first, then the old one stops",
    })
    .option("start-timeout", {
      ...text,
      default: DEFAULTS.startTimeout,
      describe:
        "with --restart: a new one that does not listen by then is stopped, the old one stays",
    })
    .option("drain", {
      ...text,
      default: DEFAULTS.drain,
      describe:
        "with --restart: how long the old one may finish its connections before it is stopped",
    })
    .option("stop-timeout", {
      ...text,
      default: DEFAULTS.stopTimeout,
      describe: "SIGKILL to what does not stop by then",
    })
    .option("stop-signal", {
      ...text,
      default: DEFAULTS.stopSignal,
      describe: "what stops the old one gracefully: SIGQUIT for nginx",
    })
    .option("metrics", {
      ...text,
      default: DEFAULTS.metrics,
      describe: "where to serve /metrics: [ADDR:]PORT; off, as several exec may run on one host",
    })
    .option("bpffs", bpffsOption)
    .option("verbose", {
      type: "boolean",
      describe: "log what the sidecar does, not only warnings",
    })
    .option("json", { type: "boolean", describe: "log in JSON, one object a line" })
    .example("$0 exec :8080 -- node server.js", "run it until it exits, with its exit code")
    .example("$0 exec :8080 --restart -- node server.js", "then 'kill -HUP' deploys without loss")
    .example(
      "$0 exec :80 :443 --restart --stop-signal SIGQUIT -- nginx -g 'daemon off;'",
      "nginx, without reuseport in its configuration",
    );
}

interface Arguments {
  readonly spec: string[];
  /** Everything after `--`, not parsed. */
  readonly "--"?: string[];
  readonly restart: boolean | undefined;
  readonly "start-timeout": string;
  readonly drain: string;
  readonly "stop-timeout": string;
  readonly "stop-signal": string;
  readonly metrics: string;
  readonly bpffs: string | undefined;
  readonly verbose: boolean | undefined;
  readonly json: boolean | undefined;
}

/** What the command line says, checked. */
interface Request {
  readonly command: readonly [string, ...string[]];
  readonly specs: readonly Spec[];
  readonly times: Times;
  readonly stopSignal: NodeJS.Signals;
  readonly metrics: MetricsAddress | null;
}

function request(args: Arguments): Request {
  const [name, ...rest] = args["--"] ?? [];
  if (!name) {
    throw new UsageError("exec wants a command after '--', such as exec :8080 -- node server.js");
  }
  const time = (option: "start-timeout" | "drain" | "stop-timeout", minMs: number) =>
    duration(option, once(option, args[option]) ?? "", minMs, HOUR_MS);
  return {
    command: [name, ...rest],
    specs: specs(args.spec),
    times: {
      startTimeoutMs: time("start-timeout", 100),
      drainMs: time("drain", 0),
      stopTimeoutMs: time("stop-timeout", 0),
    },
    stopSignal: signal(once("stop-signal", args["stop-signal"]) ?? DEFAULTS.stopSignal),
    metrics: parseMetricsAddress(once("metrics", args.metrics) ?? DEFAULTS.metrics),
  };
}

function signal(text: string): NodeJS.Signals {
  if (text in constants.signals) return text as NodeJS.Signals;
  throw new UsageError(
    `--stop-signal '${text}': write a signal's name, such as SIGTERM or SIGQUIT`,
  );
}

async function run(env: Env, args: Arguments): Promise<number> {
  const { command, specs, times, stopSignal, metrics } = request(args);
  requireCommand(command[0], env.vars["PATH"]);
  const loader = await import("../../loader/index.ts");
  const log = logger(env.stderr, args.json === true);
  const say = (level: "info" | "warn", text: string) =>
    log({ level, event: level === "warn" ? "warning" : "restart", text, fields: {} });
  using cgroup = loader.ServerCgroup.make();
  const sidecar = new loader.Sidecar(
    {
      specs,
      filter: { cgroup: cgroup.path },
      wait: true,
      migrate: "newest",
      // A restart's new one is to have the new connections as soon as it listens.
      route: args.restart ? "newest" : "kernel",
      ...bpffsOf(args.bpffs),
    },
    (event) => {
      const matters = event.level !== "info" || event.event === "released";
      if (args.verbose || matters) log(event);
    },
  );
  const metricsServer = metrics ? await serveMetrics(metrics, () => sidecar.status()) : null;
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
      if (!args.restart) return await runOnce(env, all);
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
    handler: async (args) => exitWith(await run(env, args)),
  };
}
