/** status: pinned groups and their listeners, once or live. */
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { bpffsOf, type PinnedArguments, pinnedOptions } from "../options/pinned.ts";
import { duration, OptionError, once, specs } from "../options/values.ts";
import { painter } from "../output/colour.ts";
import { widthOf } from "../output/columns.ts";
import { statusJson } from "../output/status_json.ts";
import { statusText } from "../output/status_text.ts";
import { NOTHING_MATCHES } from "../process/exit.ts";
import { watch } from "./watch.ts";

const DEFAULT_INTERVAL = "1s";
const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 3_600_000;

interface Arguments extends PinnedArguments {
  readonly watch: boolean | undefined;
  readonly interval: string | undefined;
}

function options(yargs: Argv): Argv<Arguments> {
  const watching = yargs
    .option("watch", {
      type: "boolean",
      describe:
        "continue until Ctrl-C: redraw in place on a terminal (q quits, arrows scroll, ? lists the keys), otherwise print a line for each group that changed",
    })
    .option("interval", {
      type: "string",
      requiresArg: true,
      defaultDescription: DEFAULT_INTERVAL,
      describe: "with --watch: time between two readings",
    });
  return pinnedOptions(
    watching,
    "only these groups; also lists listeners that are not attached, and why; exit code 4 if nothing is attached for one of them",
  )
    .option("json", {
      type: "boolean",
      describe: "print JSON; with --watch one object a line, which has decisions per second too",
    })
    .example("$0 status", "every attached group")
    .example("$0 status --watch", "watch a reload while it happens")
    .example("$0 status :443 --json | jq '.groups[].decisions'", "the decisions on port 443");
}

/** Returns the time between two readings, ms; null without --watch. */
function intervalOf({ watch, interval }: Arguments): number | null {
  const text = once("--interval", interval);
  if (!watch && text !== undefined) throw new OptionError("--interval", "requires --watch");
  return watch
    ? duration("--interval", text ?? DEFAULT_INTERVAL, MIN_INTERVAL_MS, MAX_INTERVAL_MS)
    : null;
}

async function run(env: Env, args: Arguments, exitWith: (code: number) => void): Promise<void> {
  const intervalMs = intervalOf(args);
  const which = { specs: specs(args.spec), ...bpffsOf(args.bpffs) };
  const { StatusReader } = await import("../../loader/operate/status_reader.ts");
  using reader = new StatusReader(which);
  if (intervalMs !== null) {
    const read = () => reader.read();
    return await watch(env, { intervalMs, json: args.json === true, read });
  }
  const status = reader.read();
  for (const error of status.errors) env.stderr.write(`reuseport-migrate: ${error}\n`);
  const paint = painter("status", env.stdout, env.vars);
  const text = args.json
    ? JSON.stringify(statusJson(status), null, 2)
    : paint(statusText(status, { width: widthOf(env) }));
  env.stdout.write(`${text}\n`);
  if (status.unattached.length > 0) exitWith(NOTHING_MATCHES);
}

/** @param exitWith called with 4 if nothing is attached for a SPEC */
export function statusCommand(
  env: Env,
  exitWith: (code: number) => void,
): CommandModule<object, Arguments> {
  return {
    command: "status [spec..]",
    describe: "Show groups, listeners and decisions, once or live; works without a sidecar",
    builder: options,
    handler: (args) => run(env, args, exitWith),
  };
}
