/** store --listen: runs the store until a signal. */
import type { Argv, CommandModule } from "yargs";
import { UsageError } from "../../loader/errors.ts";
import { STORE_LIMITS, type StoreLimits } from "../../loader/store/limits.ts";
import type { StoreOptions, StoreServer } from "../../loader/store/server.ts";
import { servedAt } from "../config/served_at.ts";
import type { Env } from "../env.ts";
import type { MetricsServer } from "../metrics/server.ts";
import {
  type MetricsAddress,
  parseMetricsAddress,
  webConfigOption,
} from "../options/metrics_address.ts";
import { integer, once } from "../options/values.ts";
import { type LastingLog, lastingLog, warning } from "../output/log.ts";
import { readyLine } from "../output/ready.ts";
import { stopped } from "../process/stopped.ts";
import { DEFAULT_TIMEOUT, mode, timeoutOption } from "./options.ts";

const DEFAULTS = { mode: "0600", metrics: "off" } as const;
/** Bound of each limit; RLIMIT_NOFILE is the tighter one. */
const MAX_LIMIT = 1_000_000;
/** The longest delay of a timer; Node takes a longer one for 1 ms. */
const LONG_MS = 0x7fffffff;

function options(yargs: Argv): Argv<Arguments> {
  const text = { type: "string", requiresArg: true } as const;
  const limit = (name: keyof StoreLimits) =>
    ({ ...text, defaultDescription: `${STORE_LIMITS[name]}` }) as const;
  return yargs
    .usage("$0 store --listen PATH [options]")
    .option("listen", {
      ...text,
      describe: "the socket to create; processes of the same user and of root may use it",
    })
    .option("timeout", {
      ...text,
      default: DEFAULT_TIMEOUT,
      describe:
        "time that file descriptors are kept once no process holds them, 1ms to 1h; a put may set its own",
    })
    .option("mode", { ...text, default: DEFAULTS.mode, describe: "permissions of the socket" })
    .option("max-names", { ...limit("names"), describe: "most names" })
    .option("max-fds", { ...limit("fds"), describe: "most file descriptors" })
    .option("max-clients", {
      ...limit("clients"),
      describe: "most clients; with one more, the connection that was idle longest is closed",
    })
    .option("systemd", {
      type: "boolean",
      describe:
        "also keep the file descriptors in systemd (FDSTORE), so that the store can be restarted or killed",
    })
    .option("metrics", {
      ...text,
      default: DEFAULTS.metrics,
      describe: "where to serve /metrics: [ADDR:]PORT, or 'off'",
    })
    .option("web-config", webConfigOption)
    .option("json", { type: "boolean", describe: "log in JSON, one object a line" })
    .example("$0 store --listen /run/fds.sock", "until Ctrl-C")
    .example("$0 store --listen /run/fds.sock --timeout 1m --metrics 9945", "keep for a minute")
    .example(
      "$0 store exec --store /run/fds.sock --name web --tcp :8080 -- node server.js",
      "a server that can be stopped and started",
    );
}

interface Arguments {
  readonly listen: string | undefined;
  readonly timeout: string;
  readonly mode: string;
  readonly "max-names": string | undefined;
  readonly "max-fds": string | undefined;
  readonly "max-clients": string | undefined;
  readonly systemd: boolean | undefined;
  readonly metrics: string;
  readonly "web-config": string | undefined;
  readonly json: boolean | undefined;
}

function request(
  env: Env,
  args: Arguments,
): { store: StoreOptions; metrics: MetricsAddress | null } {
  const path = once("--listen", args.listen);
  if (path === undefined) {
    throw new UsageError("store requires --listen PATH or a command: put, take, list, drop, exec");
  }
  const limit = (name: keyof StoreLimits) => {
    const label = `--max-${name}`;
    const text = once(label, args[`max-${name}`]);
    return text === undefined ? STORE_LIMITS[name] : integer(label, text, 1, MAX_LIMIT);
  };
  return {
    store: {
      path,
      ...timeoutOption(args.timeout),
      mode: mode(once("--mode", args.mode) ?? DEFAULTS.mode),
      limits: { names: limit("names"), fds: limit("fds"), clients: limit("clients") },
      ...(args.systemd ? { systemd: env.vars } : {}),
    },
    metrics: parseMetricsAddress(once("--metrics", args.metrics) ?? DEFAULTS.metrics),
  };
}

async function run(env: Env, args: Arguments): Promise<void> {
  const { store: options, metrics: address } = request(env, args);
  const metrics = await servedAt(address, once("--web-config", args["web-config"]));
  const { serviceNotifier } = await import("../../loader/host/sd_notify.ts");
  const { StoreServer } = await import("../../loader/store/server.ts");
  const { Endpoint } = await import("../metrics/endpoint.ts");
  const lasting = lastingLog(env, () => args.json === true);
  const { log } = lasting;
  using store = new StoreServer(options, log);
  const endpoint = new Endpoint({ serve: (address) => serve(address, store, lasting), log });
  // The store keeps no process alive by itself.
  const alive = setInterval(() => {}, LONG_MS);
  try {
    await endpoint.open(metrics);
    const summary = `names=${store.status().names.length}`;
    const notify = serviceNotifier(env.vars["NOTIFY_SOCKET"], (text) =>
      log(warning("service manager", text)),
    );
    await lasting.written();
    const facts = `store=${store.path} ${summary} metrics=${endpoint.url}`;
    env.stdout.write(readyLine("READY", facts, args.json === true));
    notify(`READY=1\nSTATUS=${summary}`);
    await stopped(env);
    notify("STOPPING=1");
  } finally {
    clearInterval(alive);
    await endpoint.close();
  }
}

async function serve(
  metrics: MetricsAddress,
  store: StoreServer,
  log: LastingLog,
): Promise<MetricsServer> {
  const [{ serveText }, { ProcessMetrics }, { StoreMetrics }] = await Promise.all([
    import("../metrics/server.ts"),
    import("../metrics/process_metrics.ts"),
    import("../metrics/store_metrics.ts"),
  ]);
  const ofProcess = new ProcessMetrics();
  const ofStore = new StoreMetrics();
  const scrape = async () => `${ofStore.text(store.status())}\n${await ofProcess.text()}\n`;
  return serveText(metrics, scrape, log);
}

export function serveCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "$0",
    describe: "Run the store",
    builder: options,
    handler: (args) => run(env, args),
  };
}
