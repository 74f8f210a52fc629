/** release: ends a hold at once. */
import type { Argv, CommandModule } from "yargs";
import { heldText } from "../../loader/group/hold_record.ts";
import type { Env } from "../env.ts";
import { bpffsOf, type PinnedArguments, pinnedOptions } from "../options/pinned.ts";
import { specs } from "../options/values.ts";
import { groupIdentity } from "../output/group_identity.ts";

function options(yargs: Argv): Argv<PinnedArguments> {
  return pinnedOptions(yargs, "groups whose hold ends").example(
    "$0 release :443",
    "the server was stopped on purpose: refuse clients from now on",
  );
}

async function run(env: Env, args: PinnedArguments): Promise<void> {
  const { release } = await import("../../loader/operate/release.ts");
  const released = await release(specs(args.spec), bpffsOf(args.bpffs));
  if (args.json) {
    const rows = released.map(({ group, held }) => ({ ...groupIdentity(group), ...held }));
    env.stdout.write(`${JSON.stringify({ released: rows })}\n`);
  }
  const { placeOfGroup } = await import("../../loader/observe/netns_label.ts");
  for (const { group, held } of args.json ? [] : released) {
    env.stdout.write(`released ${placeOfGroup(group)}: ${heldText(held)}\n`);
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
