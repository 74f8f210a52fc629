/** release: ends a hold at once. */
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { bpffsOf, type PinnedArguments, pinnedOptions } from "../options/pinned.ts";
import { specs } from "../options/values.ts";

function options(yargs: Argv): Argv<PinnedArguments> {
  return pinnedOptions(yargs, "groups whose hold ends").example(
    "$0 release :443",
    "the server was stopped on purpose: refuse clients from now on",
  );
}

async function run(env: Env, args: PinnedArguments): Promise<void> {
  const { release } = await import("../../loader/operate/release.ts");
  const released = release(specs(args.spec), bpffsOf(args.bpffs));
  if (args.json) env.stdout.write(`${JSON.stringify({ released })}\n`);
  for (const { group, connections } of args.json ? [] : released) {
    env.stdout.write(`released ${group}: ${connections} connections were held\n`);
  }
}

export function releaseCommand(env: Env): CommandModule<object, PinnedArguments> {
  return {
    command: "release <spec..>",
    describe: "End a hold at once: held connections are reset, new ones refused",
    builder: options,
    handler: (args) => run(env, args),
  };
}
