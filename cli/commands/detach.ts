/** detach: undoes an attach. */
import type { Argv, CommandModule } from "yargs";
import { UsageError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";
import { bpffsOf, bpffsOption, specs } from "../options/values.ts";

interface Arguments {
  readonly spec: string[] | undefined;
  readonly all: boolean | undefined;
  readonly bpffs: string | undefined;
  readonly json: boolean | undefined;
}

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .positional("spec", {
      type: "string",
      array: true,
      describe: "groups to detach, as for attach; their ports are adopted no more in any cgroup",
    })
    .option("all", {
      type: "boolean",
      describe: "every group that is attached, every cgroup that is adopted",
    })
    .option("bpffs", bpffsOption)
    .option("json", { type: "boolean", describe: "print JSON" })
    .example("$0 detach :443", "give port 443 back to the kernel")
    .example("$0 detach --all", "after a sidecar was killed, or before an upgrade of the ABI");
}

async function run(env: Env, args: Arguments): Promise<void> {
  const wanted = specs(args.spec);
  if (wanted.length === 0 && !args.all) throw new UsageError("detach wants a SPEC, or --all");
  if (wanted.length > 0 && args.all) throw new UsageError("detach wants a SPEC or --all, not both");
  const { detach } = await import("../../loader/operate/detach.ts");
  const { groups, unadopted } = await detach({
    specs: wanted,
    all: args.all === true,
    ...bpffsOf(args.bpffs),
  });
  if (args.json) {
    env.stdout.write(`${JSON.stringify({ detached: groups, unadopted })}\n`);
    return;
  }
  for (const group of groups) env.stdout.write(`detached ${group}\n`);
  for (const { cgroup, ports } of unadopted) {
    const which = ports.length > 0 ? ` on port ${ports.join(", ")}` : "";
    env.stdout.write(`adopted no more: ${cgroup}${which}\n`);
  }
  if (groups.length + unadopted.length === 0) env.stdout.write("nothing was attached\n");
}

export function detachCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "detach [spec..]",
    describe: "Undo an attach, whoever made it, and remove its pins",
    builder: options,
    handler: (args) => run(env, args),
  };
}
