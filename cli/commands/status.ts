/** status: what is pinned and what is listening. */
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { statusJson, statusText } from "../format.ts";
import { bpffsOf, bpffsOption, specs } from "../options.ts";

interface Arguments {
  readonly spec: string[] | undefined;
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
    .option("bpffs", bpffsOption)
    .option("json", { type: "boolean", describe: "print JSON" })
    .example("$0 status", "every group that is attached")
    .example("$0 status :443 --json | jq '.groups[].decisions'", "what was decided on port 443");
}

async function run(env: Env, args: Arguments): Promise<void> {
  const { readStatus } = await import("../../loader/index.ts");
  const status = readStatus({ specs: specs(args.spec), ...bpffsOf(args.bpffs) });
  for (const error of status.errors) env.stderr.write(`reuseport-migrate: ${error}\n`);
  const text = args.json ? JSON.stringify(statusJson(status), null, 2) : statusText(status);
  env.stdout.write(`${text}\n`);
}

export function statusCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "status [spec..]",
    describe: "Show groups, listeners and decisions; works without a sidecar",
    builder: options,
    handler: (args) => run(env, args),
  };
}
