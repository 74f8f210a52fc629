/** release: ends a hold at once. */
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { bpffsOf, bpffsOption, specs } from "../options/values.ts";

interface Arguments {
  readonly spec: string[];
  readonly bpffs: string | undefined;
  readonly json: boolean | undefined;
}

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .positional("spec", {
      type: "string",
      array: true,
      demandOption: true,
      describe: "groups whose hold ends, as for attach",
    })
    .option("bpffs", bpffsOption)
    .option("json", { type: "boolean", describe: "print JSON" })
    .example("$0 release :443", "the server was stopped on purpose: refuse clients from now on");
}

async function run(env: Env, args: Arguments): Promise<void> {
  const { release } = await import("../../loader/operate/release.ts");
  const released = release(specs(args.spec), bpffsOf(args.bpffs));
  if (args.json) env.stdout.write(`${JSON.stringify({ released })}\n`);
  for (const { group, connections } of args.json ? [] : released) {
    env.stdout.write(`released ${group}: ${connections} connections were held\n`);
  }
}

export function releaseCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "release <spec..>",
    describe: "End a hold at once: those who wait are reset, the next ones refused",
    builder: options,
    handler: (args) => run(env, args),
  };
}
