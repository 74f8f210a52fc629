/** policy: another policy for what is attached, in force at once. */
import type { Argv, CommandModule } from "yargs";
import {
  MIGRATE,
  type Migrate,
  ROUTE,
  type Route,
  SETTINGS,
  type SettingsPolicy,
} from "../../loader/core/abi.ts";
import { UsageError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";
import { bpffsOf, bpffsOption, once, specs } from "../options/values.ts";

interface Arguments {
  readonly spec: string[];
  readonly migrate: Migrate | undefined;
  readonly route: Route | undefined;
  readonly settings: SettingsPolicy | undefined;
  readonly bpffs: string | undefined;
  readonly json: boolean | undefined;
}

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .positional("spec", {
      type: "string",
      array: true,
      demandOption: true,
      describe: "groups whose policy changes, as for attach",
    })
    .option("migrate", { choices: MIGRATE, requiresArg: true, describe: "as for attach" } as const)
    .option("route", { choices: ROUTE, requiresArg: true, describe: "as for attach" } as const)
    .option("settings", {
      choices: SETTINGS,
      requiresArg: true,
      describe: "as for attach",
    } as const)
    .option("bpffs", bpffsOption)
    .option("json", { type: "boolean", describe: "print JSON" })
    .epilogue(
      "Nothing is attached again and no connection is lost. It is pinned; the next start of a sidecar sets what its own options say.",
    )
    .example("$0 policy :443 --migrate newest", "from observing to migrating, live")
    .example("$0 policy :443 --route newest", "blue/green from now on");
}

async function run(env: Env, args: Arguments): Promise<void> {
  const migrate = once("migrate", args.migrate);
  const route = once("route", args.route);
  const settings = once("settings", args.settings);
  if ((migrate ?? route ?? settings) === undefined) {
    throw new UsageError("policy wants what is to change: --migrate, --route or --settings");
  }
  const { changePolicy } = await import("../../loader/operate/policy.ts");
  const change = {
    ...(migrate === undefined ? {} : { migrate }),
    ...(route === undefined ? {} : { route }),
    ...(settings === undefined ? {} : { settings }),
  };
  const changed = await changePolicy(specs(args.spec), change, bpffsOf(args.bpffs));
  if (args.json) env.stdout.write(`${JSON.stringify({ groups: changed })}\n`);
  for (const { group, ...policy } of args.json ? [] : changed) {
    const words = Object.entries(policy).map(([name, value]) => `${name} ${value}`);
    env.stdout.write(`${group}: ${words.join(", ")}\n`);
  }
}

export function policyCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "policy <spec..>",
    describe: "Change the policy of what is attached, at once",
    builder: options,
    handler: (args) => run(env, args),
  };
}
