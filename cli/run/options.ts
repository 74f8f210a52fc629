/** run's options, validated. */
import type { Argv } from "yargs";
import type { Spec } from "../../loader/core/spec.ts";
import { bpffsOf, bpffsOption } from "../options/pinned.ts";
import { duration, integer, once, specs } from "../options/values.ts";
import { commandAfter } from "../process/spec_command.ts";

const MAX_LOST = 2 ** 31 - 1;
const MAX_SETTLE_MS = 600_000;

/** The meaning of the verdict, in --help. */
const LOST = [
  "A connection is lost if it is reset because its listener closed, handshakes included: the policy dropped it (--migrate off or observe, --settings strict), or the kernel could not migrate it, such as when no listener was left.",
  "The kernel counts the latter by network namespace, so that the last listener of another service there is included.",
  "A final ACK that finds a full accept queue is delayed, not lost, unless tcp_abort_on_overflow is set.",
  "Not counted: a final ACK that races with close(), connections that the closing process had accepted, and clients refused while nothing listens.",
  "A connection that --hold still holds at the end is not lost.",
].join(" ");

export function runOptions(yargs: Argv): Argv<RunArguments> {
  const text = { type: "string", requiresArg: true } as const;
  return yargs
    .usage("$0 run [SPEC..] [options] -- COMMAND [ARG..]")
    .positional("spec", {
      type: "string",
      array: true,
      defaultDescription: "every attached group",
      describe: "groups to measure",
    })
    .option("max-lost", {
      ...text,
      default: "0",
      describe: "accepted number of lost connections; with more, the exit code is 3",
    })
    .option("settle", {
      ...text,
      default: "2s",
      describe:
        "once the command has ended, wait until for this long no connection migrated (SYN-ACK timers fire after 1s) and none waits on an old listener, 30s longer at most; 0: do not wait",
    })
    .option("advisory", {
      type: "boolean",
      describe:
        "run the command even if nothing can be measured, and exit with its exit code, whatever was lost (systemd-dropin)",
    })
    .option("html", {
      ...text,
      describe:
        "write the verdict and a timeline to this file: new connections, queues, migrations, holds and losses by 10 ms",
    })
    .option("timeline", {
      type: "boolean",
      describe: "print the timeline as text, too",
    })
    .option("bpffs", bpffsOption)
    .option("json", {
      type: "boolean",
      describe:
        "print the verdict to stdout as one JSON object; the command's stdout goes to stderr",
    })
    .example("$0 run -- systemctl reload haproxy", "the effect of the reload on every group")
    .example("$0 run :443 --max-lost 5 -- nginx -s reload", "up to 5 lost connections are accepted")
    .example(
      "$0 run :443 --json -- ./deploy.sh | jq .lost",
      "in a pipeline; works without a sidecar",
    )
    .epilogue(LOST);
}

export interface RunArguments {
  readonly spec: string[] | undefined;
  /** The command after `--`, not parsed. */
  readonly "--"?: string[];
  readonly "max-lost": string;
  readonly settle: string;
  readonly advisory: boolean | undefined;
  readonly html: string | undefined;
  readonly timeline: boolean | undefined;
  readonly bpffs: string | undefined;
  readonly json: boolean | undefined;
}

/** The validated options. */
export interface RunRequest {
  readonly command: readonly [string, ...string[]];
  readonly specs: readonly Spec[];
  readonly maxLost: number;
  readonly settleMs: number;
  readonly advisory: boolean;
  /** The file of the timeline; undefined: none. */
  readonly html: string | undefined;
  /** Print it. */
  readonly timeline: boolean;
  readonly bpffs: { readonly bpffs?: string };
  readonly json: boolean;
}

/** @throws UsageError */
export function runRequest(args: RunArguments): RunRequest {
  return {
    command: commandAfter("run :443", args["--"], "systemctl reload haproxy"),
    specs: specs(args.spec),
    maxLost: integer("--max-lost", once("--max-lost", args["max-lost"]) ?? "", 0, MAX_LOST),
    settleMs: duration("--settle", once("--settle", args.settle) ?? "", 0, MAX_SETTLE_MS),
    advisory: args.advisory === true,
    html: once("--html", args.html),
    timeline: args.timeline === true,
    bpffs: bpffsOf(args.bpffs),
    json: args.json === true,
  };
}
