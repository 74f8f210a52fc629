/** attach: the sidecar. */
import { existsSync } from "node:fs";
import type { Argv, CommandModule } from "yargs";
import { MIGRATE, ROUTE } from "../../loader/abi.ts";
import { UsageError } from "../../loader/errors.ts";
import type { Filter, Sidecar, SidecarOptions } from "../../loader/index.ts";
import { type AdoptArguments, adoptOptions, cgroupChoice } from "../adopt.ts";
import type { Env } from "../env.ts";
import { HOLD_MAX, holdMax, holdTime } from "../hold.ts";
import { logger } from "../log.ts";
import { bpffsOf, bpffsOption, integer, once, specs } from "../options.ts";
import {
  DEFAULT_METRICS,
  type MetricsAddress,
  parseMetricsAddress,
  serveMetrics,
} from "../server.ts";
import { stopped } from "../stopped.ts";
import { type AttachStoreArguments, attachStoreOptions, storeOf } from "../store/attach.ts";

const MAX_PID = 0x3fffff; // PID_MAX_LIMIT, include/linux/threads.h

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .positional("spec", {
      type: "string",
      array: true,
      demandOption: true,
      describe: "listen address: ':443' (every address), '192.0.2.7:443', '[::]:443'",
    })
    .option("pid", {
      type: "string",
      requiresArg: true,
      describe: "only groups in which this process holds a listener",
    })
    .option("cgroup", {
      type: "string",
      requiresArg: true,
      describe: "only groups with a listener held in this cgroup v2 (a path), or below",
    })
    .options(adoptOptions)
    .option("netns", {
      type: "string",
      requiresArg: true,
      describe: "only this network namespace: a path, or a pid [default: all]",
    })
    .option("migrate", {
      choices: MIGRATE,
      default: "newest",
      requiresArg: true,
      describe:
        "destination of migrating connections: the newest generation, any listener, or none (reset, as without us)",
    } as const)
    .option("route", {
      choices: ROUTE,
      default: "kernel",
      requiresArg: true,
      describe: "new connections: the kernel's own spread, or the newest generation only",
    } as const)
    .option("hold", {
      type: "string",
      requiresArg: true,
      describe: "when no listener is left, hold connections so long for the next: 10s, 500ms, 2m",
    })
    .option("hold-max", {
      type: "string",
      requiresArg: true,
      describe: `connections held at most, then SYNs are ignored so that clients retry [default: ${HOLD_MAX}]`,
    })
    .option("ready-check", {
      type: "string",
      requiresArg: true,
      describe:
        "hand over what is held when the new server accepts a connection ('tcp'), or this shell command exits with 0",
    })
    .options(attachStoreOptions)
    .option("wait", { type: "boolean", describe: "start before any listener exists" })
    .option("once", { type: "boolean", describe: "attach, pin and exit" })
    .option("keep", {
      type: "boolean",
      describe: "leave everything attached and pinned at the end",
    })
    .option("replace", { type: "boolean", describe: "override a program that is not ours" })
    .option("metrics", {
      type: "string",
      requiresArg: true,
      default: DEFAULT_METRICS,
      describe: "where to serve /metrics: [ADDR:]PORT, or 'off'",
    })
    .option("bpffs", bpffsOption)
    .option("json", { type: "boolean", describe: "log in JSON, one object a line" })
    .example("$0 attach :443", "look after every listener on port 443 until stopped")
    .example(
      "$0 attach 0.0.0.0:80 '[::]:80' --route newest --metrics 9200",
      "blue/green: new connections go to the newest start",
    )
    .example("$0 attach :8080 --hold 10s", "stop and start the server: nobody is refused")
    .example("$0 attach :443 --once", "attach and pin, no process stays")
    .example(
      "$0 attach :8080 --adopt --unit app",
      "a Node, Python, Ruby or Go service that does not set SO_REUSEPORT; then restart it once",
    );
}

interface Arguments extends AdoptArguments, AttachStoreArguments {
  readonly spec: string[];
  readonly pid: string | undefined;
  readonly netns: string | undefined;
  readonly migrate: (typeof MIGRATE)[number];
  readonly route: (typeof ROUTE)[number];
  readonly hold: string | undefined;
  readonly "hold-max": string | undefined;
  readonly "ready-check": string | undefined;
  readonly wait: boolean | undefined;
  readonly once: boolean | undefined;
  readonly keep: boolean | undefined;
  readonly replace: boolean | undefined;
  readonly metrics: string;
  readonly bpffs: string | undefined;
  readonly json: boolean | undefined;
}

/** What the command line says, checked. */
interface Request {
  readonly sidecar: SidecarOptions;
  readonly metrics: MetricsAddress | null;
}

async function request(args: Arguments): Promise<Request> {
  if (args.once && args.wait) throw new UsageError("--once and --wait exclude each other");
  const wanted = specs(args.spec);
  const { cgroup, adopt } = await cgroupChoice(args);
  const sidecar: SidecarOptions = {
    specs: wanted,
    filter: await filter(args, cgroup),
    ...(adopt === undefined ? {} : { adopt }),
    migrate: once("migrate", args.migrate) ?? "newest",
    route: once("route", args.route) ?? "kernel",
    ...holdOf(args),
    ...storeOf(args),
    wait: args.wait === true,
    replace: args.replace === true,
    ...bpffsOf(args.bpffs),
  };
  return {
    sidecar,
    metrics: parseMetricsAddress(once("metrics", args.metrics) ?? DEFAULT_METRICS),
  };
}

/** The standby: how long, how many, and until when. */
function holdOf(args: Arguments): Pick<SidecarOptions, "hold" | "readyCheck"> {
  const hold = once("hold", args.hold);
  const max = once("hold-max", args["hold-max"]);
  const check = once("ready-check", args["ready-check"]);
  if (hold === undefined) {
    const lonely = [max !== undefined && "--hold-max", check !== undefined && "--ready-check"];
    const name = lonely.find(Boolean);
    if (name) throw new UsageError(`${name} wants --hold`);
    return {};
  }
  const timeMs = holdTime(hold);
  if (args.once)
    throw new UsageError("--once and --hold exclude each other: a standby is a process's");
  if (args.migrate === "off") {
    throw new UsageError(
      "--migrate off and --hold exclude each other: nothing would be handed over",
    );
  }
  if (check?.trim() === "") throw new UsageError("--ready-check wants 'tcp' or a shell command");
  return {
    hold: { timeMs, max: holdMax(max) },
    ...(check === undefined ? {} : { readyCheck: check === "tcp" ? "tcp" : { command: check } }),
  };
}

/** The filters, each checked against the host as it is now. */
async function filter(args: Arguments, cgroup: string | undefined): Promise<Filter> {
  const { netnsInode } = await import("../../loader/index.ts");
  const pid = once("pid", args.pid);
  const netns = once("netns", args.netns);
  if (pid !== undefined && !existsSync(`/proc/${integer("pid", pid, 1, MAX_PID)}`)) {
    throw new UsageError(`--pid ${pid}: there is no such process`);
  }
  const isPid = netns !== undefined && /^\d+$/.test(netns);
  return {
    ...(pid === undefined ? {} : { pid: Number(pid) }),
    ...(cgroup === undefined ? {} : { cgroup }),
    ...(netns === undefined
      ? {}
      : { netns: netnsInode(isPid ? integer("netns", netns, 1, MAX_PID) : netns) }),
  };
}

async function run(env: Env, args: Arguments): Promise<void> {
  const { sidecar: wanted, metrics } = await request(args);
  const { notifyService, Sidecar } = await import("../../loader/index.ts");
  const log = logger(env.stderr, args.json === true);
  const sidecar = new Sidecar(wanted, log);
  // The port first: when it is taken, nothing has been attached yet.
  const serve = metrics && !args.once;
  const server = serve
    ? await serveMetrics(
        metrics,
        () => sidecar.status(),
        () => sidecar.store,
      )
    : null;
  try {
    sidecar.start();
    if (args.once) {
      env.stdout.write(`ATTACHED ${summary(sidecar)}\n`);
      sidecar.close({ keep: true });
      return;
    }
    const notify = (state: string) => notifyService(state, env.vars["NOTIFY_SOCKET"]);
    const released = new Promise<void>((resolve) => sidecar.watch(resolve));
    env.stdout.write(`READY ${summary(sidecar)} metrics=${server?.url ?? "off"}\n`);
    notify(`READY=1\nSTATUS=${summary(sidecar)}`);
    await Promise.race([released, stopped(env)]);
    notify("STOPPING=1");
  } finally {
    try {
      sidecar.close({ keep: args.keep === true });
    } finally {
      await server?.close();
    }
  }
}

function summary(sidecar: Sidecar): string {
  const { groups } = sidecar.status();
  const listeners = groups.flatMap((group) => group.listeners);
  const served = listeners.filter(({ role }) => role !== "standby");
  return `groups=${groups.length} listeners=${served.length}`;
}

export function attachCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "attach <spec..>",
    describe: "Attach to the listeners of running servers, and look after them until stopped",
    builder: options,
    handler: (args) => run(env, args),
  };
}
