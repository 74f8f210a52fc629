/** status: what is pinned and what is listening, once or live. */
import type { Argv, CommandModule } from "yargs";
import { UsageError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";
import { bpffsOf, bpffsOption, duration, once, specs } from "../options/values.ts";
import { statusJson, statusText } from "../output/status_text.ts";
import { watch } from "./watch.ts";

const DEFAULT_INTERVAL = "1s";
const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 3_600_000;

interface Arguments {
  readonly spec: string[] | undefined;
  readonly watch: boolean | undefined;
  readonly interval: string | undefined;
  readonly bpffs: string | undefined;
  readonly json: boolean | undefined;
}

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .positional("spec", {
      type: "string",
      array: true,
      describe: "only these; also lists what listens there and is not attached",
    })
    .option("watch", {
      type: "boolean",
      describe:
        "go on until Ctrl-C: redrawn in place on a terminal, else a line for each group that changed",
    })
    .option("interval", {
      type: "string",
      requiresArg: true,
      describe: `with --watch: how often [default: ${DEFAULT_INTERVAL}]`,
    })
    .option("bpffs", bpffsOption)
    .option("json", {
      type: "boolean",
      describe: "print JSON; with --watch an object a line, decisions also per second",
    })
    .example("$0 status", "every group that is attached")
    .example("$0 status --watch", "see a reload while it happens")
    .example("$0 status :443 --json | jq '.groups[].decisions'", "what was decided on port 443");
}

/** ms between two readings; null: one is enough. */
function intervalOf({ watch, interval }: Arguments): number | null {
  const text = once("interval", interval);
  if (!watch && text !== undefined) throw new UsageError("--interval wants --watch");
  return watch
    ? duration("interval", text ?? DEFAULT_INTERVAL, MIN_INTERVAL_MS, MAX_INTERVAL_MS)
    : null;
}

async function run(env: Env, args: Arguments): Promise<void> {
  const intervalMs = intervalOf(args);
  const wanted = { specs: specs(args.spec), ...bpffsOf(args.bpffs) };
  const { StatusReader } = await import("../../loader/operate/status_reader.ts");
  using reader = new StatusReader(wanted);
  if (intervalMs !== null) {
    const read = () => reader.read();
    return await watch(env, { intervalMs, json: args.json === true, read });
  }
  const status = reader.read();
  for (const error of status.errors) env.stderr.write(`reuseport-migrate: ${error}\n`);
  const text = args.json ? JSON.stringify(statusJson(status), null, 2) : statusText(status);
  env.stdout.write(`${text}\n`);
}

export function statusCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "status [spec..]",
    describe: "Show groups, listeners and decisions, once or live; works without a sidecar",
    builder: options,
    handler: (args) => run(env, args),
  };
}
