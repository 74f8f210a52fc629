/** run's command line: its options, and what they say, checked. */
import type { Argv } from "yargs";
import type { Spec } from "../../loader/core/spec.ts";
import { UsageError } from "../../loader/errors.ts";
import { bpffsOf, bpffsOption, duration, integer, once, specs } from "../options/values.ts";

const MAX_LOST = 2 ** 31 - 1;
const MAX_SETTLE_MS = 600_000;

/** What the number means, where it is read. */
const LOST = [
  "Lost are connections, handshakes included, that were reset because their listener closed: those that the policy drops (--migrate off or observe, --settings strict), and those that the kernel could not migrate, as when no listener was left.",
  "The kernel counts these by network namespace, so the last listener of another service there is included.",
  "Not seen are a final ACK that races with close(), what the closing process had accepted, and clients refused while nothing listens.",
  "What --hold holds at the end is not lost.",
].join(" ");

export function runOptions(yargs: Argv): Argv<RunArguments> {
  const text = { type: "string", requiresArg: true } as const;
  return yargs
    .usage(
      "$0 run [SPEC..] [options] -- COMMAND [ARG..]\n\nRun a command that reloads a server, and say what became of its connections.",
    )
    .positional("spec", {
      type: "string",
      array: true,
      describe: "groups to measure, as for attach [default: every group that is attached]",
    })
    .option("max-lost", {
      ...text,
      default: "0",
      describe: "lost connections that are accepted; with more the exit code is 3",
    })
    .option("settle", {
      ...text,
      default: "2s",
      describe:
        "when the command has ended, wait until no connection was moved for so long (SYN-ACK timers fire after 1s) and none waits on an old listener, 30s more at most; 0: do not wait",
    })
    .option("bpffs", bpffsOption)
    .option("json", {
      type: "boolean",
      describe:
        "print the verdict to stdout as one JSON object; the command's stdout goes to stderr",
    })
    .example("$0 run -- systemctl reload haproxy", "what the reload did, for every group")
    .example("$0 run :443 --max-lost 5 -- nginx -s reload", "up to 5 lost are fine")
    .example(
      "$0 run :443 --json -- ./deploy.sh | jq .lost",
      "in a pipeline; works without a sidecar",
    )
    .epilogue(LOST);
}

export interface RunArguments {
  readonly spec: string[] | undefined;
  /** Everything after `--`, not parsed. */
  readonly "--"?: string[];
  readonly "max-lost": string;
  readonly settle: string;
  readonly bpffs: string | undefined;
  readonly json: boolean | undefined;
}

/** What the command line says, checked. */
export interface RunRequest {
  readonly command: readonly [string, ...string[]];
  readonly specs: readonly Spec[];
  readonly maxLost: number;
  readonly settleMs: number;
  readonly bpffs: { readonly bpffs?: string };
  readonly json: boolean;
}

/** @throws UsageError */
export function runRequest(args: RunArguments): RunRequest {
  const [name, ...rest] = args["--"] ?? [];
  if (!name) {
    throw new UsageError(
      "run wants a command after '--', such as run :443 -- systemctl reload haproxy",
    );
  }
  return {
    command: [name, ...rest],
    specs: specs(args.spec),
    maxLost: integer("max-lost", once("max-lost", args["max-lost"]) ?? "", 0, MAX_LOST),
    settleMs: duration("settle", once("settle", args.settle) ?? "", 0, MAX_SETTLE_MS),
    bpffs: bpffsOf(args.bpffs),
    json: args.json === true,
  };
}
