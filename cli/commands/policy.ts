/** policy: changes the policy of attached groups at once. */
import type { Argv, CommandModule } from "yargs";
import type { Migrate, Route, SettingsPolicy } from "../../loader/core/abi.ts";
import { UsageError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";
import { bpffsOf, type PinnedArguments, pinnedOptions } from "../options/pinned.ts";
import { serviceOptions } from "../options/service.ts";
import { once, specs } from "../options/values.ts";
import { groupIdentity } from "../output/group_identity.ts";

interface Arguments extends PinnedArguments {
  readonly migrate: Migrate | undefined;
  readonly route: Route | undefined;
  readonly settings: SettingsPolicy | undefined;
}

function options(yargs: Argv): Argv<Arguments> {
  // Without the defaults: an option that is not given changes nothing.
  const { migrate, route, settings } = serviceOptions;
  const choices = yargs
    .option("migrate", { ...migrate, defaultDescription: "unchanged" })
    .option("route", { ...route, defaultDescription: "unchanged" })
    .option("settings", { ...settings, defaultDescription: "unchanged" });
  return pinnedOptions(choices, "groups whose policy changes")
    .epilogue(
      "The program stays attached and no connection is lost. The new policy is pinned; the next sidecar to start sets that of its own options.",
    )
    .example("$0 policy :443 --migrate newest", "from observing to migrating, live")
    .example("$0 policy :443 --route newest", "blue/green from now on");
}

async function run(env: Env, args: Arguments): Promise<void> {
  const migrate = once("--migrate", args.migrate);
  const route = once("--route", args.route);
  const settings = once("--settings", args.settings);
  if ((migrate ?? route ?? settings) === undefined) {
    throw new UsageError("nothing to change: give --migrate, --route or --settings");
  }
  const { changePolicy } = await import("../../loader/operate/policy.ts");
  const change = {
    ...(migrate === undefined ? {} : { migrate }),
    ...(route === undefined ? {} : { route }),
    ...(settings === undefined ? {} : { settings }),
  };
  const changed = await changePolicy(specs(args.spec), change, bpffsOf(args.bpffs));
  const rows = changed.map(({ group, ...policy }) => ({ ...groupIdentity(group), ...policy }));
  const { placeOfGroup } = await import("../../loader/observe/netns_label.ts");
  if (args.json) env.stdout.write(`${JSON.stringify({ groups: rows })}\n`);
  for (const { group, ...policy } of args.json ? [] : changed) {
    const parts = Object.entries(policy).map(([name, value]) => `${name} ${value}`);
    env.stdout.write(`${placeOfGroup(group)}: ${parts.join(", ")}\n`);
  }
}

export function policyCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "policy <spec..>",
    describe: "Change the policy of attached groups at once",
    builder: options,
    handler: (args) => run(env, args),
  };
}
