/** exec's options, validated. */
import { constants } from "node:os";
import type { Argv } from "yargs";
import type { HoldPolicy } from "../../loader/core/slot.ts";
import { portOf, type Spec } from "../../loader/core/spec.ts";
import type { ReadyCheck } from "../../loader/hold/ready_check.ts";
import { holdMax, holdOptions, holdTime, readyCheck } from "../options/hold.ts";
import {
  type MetricsAddress,
  parseMetricsAddress,
  webConfigOption,
} from "../options/metrics_address.ts";
import { bpffsOf, bpffsOption } from "../options/pinned.ts";
import { duration, OptionError, once, specs } from "../options/values.ts";
import { commandAfter } from "../process/spec_command.ts";
import type { Timeouts } from "./policy.ts";

const HOUR_MS = 3_600_000;

const DEFAULTS = {
  hold: "10s",
  readyCheck: "tcp",
  startTimeout: "30s",
  drain: "5s",
  stopTimeout: "10s",
  stopSignal: "SIGTERM",
  metrics: "off",
} as const;

export function execOptions(yargs: Argv): Argv<ExecArguments> {
  const text = { type: "string", requiresArg: true } as const;
  return yargs
    .usage("$0 exec SPEC.. [options] -- COMMAND [ARG..]")
    .positional("spec", {
      type: "string",
      array: true,
      demandOption: true,
      describe: "where the server listens: ':8080' (every address), '127.0.0.1:8080', '[::1]:8080'",
    })
    .option("restart", {
      type: "boolean",
      describe:
        "restart the server when it exits, and on SIGHUP: start a new one, then stop the old one",
    })
    .option("hold", {
      ...text,
      default: DEFAULTS.hold,
      describe:
        "hold connections this long while nothing listens between two starts; 0: refuse them",
    })
    .option("hold-max", holdOptions["hold-max"])
    .option("ready-check", {
      ...text,
      default: DEFAULTS.readyCheck,
      describe:
        "with --restart: a new server gets connections, and the old one is stopped, only once the new one accepts a connection of ours ('tcp'), once this shell command exits with 0, or once it listens ('off')",
    })
    .option("start-timeout", {
      ...text,
      default: DEFAULTS.startTimeout,
      describe:
        "a server that does not listen by then is named in a warning; with --restart a new one that is not ready by then is stopped, and the old one stays",
    })
    .option("drain", {
      ...text,
      default: DEFAULTS.drain,
      describe:
        "with --restart: time for the old server to finish its connections before it is stopped",
    })
    .option("stop-timeout", {
      ...text,
      default: DEFAULTS.stopTimeout,
      describe: "send SIGKILL to processes that do not stop by then",
    })
    .option("stop-signal", {
      ...text,
      default: DEFAULTS.stopSignal,
      describe: "with --restart: the signal that stops the server gracefully; SIGQUIT for nginx",
    })
    .option("metrics", {
      ...text,
      default: DEFAULTS.metrics,
      describe: "where to serve /metrics: [ADDR:]PORT, or 'off'",
    })
    .option("web-config", webConfigOption)
    .option("bpffs", bpffsOption)
    .option("verbose", {
      type: "boolean",
      describe: "log every event of the sidecar, not only warnings",
    })
    .option("json", { type: "boolean", describe: "log in JSON, one object a line" })
    .example("$0 exec :8080 -- node server.js", "run the server until it exits, with its exit code")
    .example("$0 exec :8080 --restart -- node server.js", "'kill -HUP' deploys without loss")
    .example("$0 exec :80 --restart -- setpriv --reuid app node server.js", "as another user")
    .example(
      "$0 exec :80 :443 --restart --stop-signal SIGQUIT -- nginx -g 'daemon off;'",
      "nginx, without reuseport in its configuration",
    );
}

export interface ExecArguments {
  readonly spec: string[];
  /** The command after `--`, not parsed. */
  readonly "--"?: string[];
  readonly restart: boolean | undefined;
  readonly hold: string;
  readonly "hold-max": string | undefined;
  readonly "ready-check": string;
  readonly "start-timeout": string;
  readonly drain: string;
  readonly "stop-timeout": string;
  readonly "stop-signal": string;
  readonly metrics: string;
  readonly "web-config": string | undefined;
  readonly bpffs: string | undefined;
  readonly verbose: boolean | undefined;
  readonly json: boolean | undefined;
}

/** The validated options. */
export interface ExecRequest {
  readonly command: readonly [string, ...string[]];
  readonly specs: readonly Spec[];
  readonly restart: boolean;
  readonly hold: HoldPolicy | null;
  /** When a start is ready; null: as soon as it listens. */
  readonly readyCheck: ReadyCheck | null;
  readonly timeouts: Timeouts;
  readonly stopSignal: NodeJS.Signals;
  readonly metrics: MetricsAddress | null;
  readonly webConfig: string | undefined;
  readonly bpffs: { readonly bpffs?: string };
  readonly verbose: boolean;
  readonly json: boolean;
}

/** @throws UsageError */
export function execRequest(args: ExecArguments): ExecRequest {
  const command = commandAfter("exec :8080", args["--"]);
  const time = (option: "start-timeout" | "drain" | "stop-timeout", minMs: number) =>
    duration(`--${option}`, once(`--${option}`, args[option]) ?? "", minMs, HOUR_MS);
  return {
    command,
    specs: withPorts(specs(args.spec)),
    restart: args.restart === true,
    hold: holdOf(args),
    readyCheck: args.restart ? readyCheckOf(args) : null,
    timeouts: {
      startTimeoutMs: time("start-timeout", 100),
      drainMs: time("drain", 0),
      stopTimeoutMs: time("stop-timeout", 0),
    },
    stopSignal: signal(once("--stop-signal", args["stop-signal"]) ?? DEFAULTS.stopSignal),
    metrics: parseMetricsAddress(once("--metrics", args.metrics) ?? DEFAULTS.metrics),
    webConfig: once("--web-config", args["web-config"]),
    bpffs: bpffsOf(args.bpffs),
    verbose: args.verbose === true,
    json: args.json === true,
  };
}

/** @throws UsageError for a SPEC of every port: the server's are adopted one by one */
function withPorts(all: readonly Spec[]): readonly Spec[] {
  for (const spec of all) portOf(spec);
  return all;
}

function holdOf(args: ExecArguments): HoldPolicy | null {
  const time = once("--hold", args.hold) ?? DEFAULTS.hold;
  const max = holdMax("--hold-max", once("--hold-max", args["hold-max"]));
  return time === "0" ? null : { timeMs: holdTime("--hold", time), max };
}

function readyCheckOf(args: ExecArguments): ReadyCheck | null {
  const text = once("--ready-check", args["ready-check"]) ?? DEFAULTS.readyCheck;
  return text === "off" ? null : readyCheck("--ready-check", text);
}

function signal(text: string): NodeJS.Signals {
  if (text in constants.signals) return text as NodeJS.Signals;
  throw new OptionError(
    "--stop-signal",
    `'${text}' is not a signal: write its name, such as SIGTERM or SIGQUIT`,
  );
}
