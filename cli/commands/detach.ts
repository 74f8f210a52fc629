/** detach: undoes an attach. */
import type { Argv, CommandModule } from "yargs";
import { UsageError } from "../../loader/errors.ts";
import { heldText } from "../../loader/group/hold_record.ts";
import type { Env } from "../env.ts";
import { bpffsOf, type PinnedArguments, pinnedOptions } from "../options/pinned.ts";
import { specs } from "../options/values.ts";
import { groupIdentity } from "../output/group_identity.ts";

interface Arguments extends PinnedArguments {
  readonly all: boolean | undefined;
}

function options(yargs: Argv): Argv<Arguments> {
  const all = yargs.option("all", {
    type: "boolean",
    describe: "every attached group and every adopted cgroup",
  });
  return pinnedOptions(all, "groups to detach; adoption of their ports ends in every cgroup")
    .example("$0 detach :443", "give port 443 back to the kernel")
    .example("$0 detach --all", "after a sidecar was killed, or before an upgrade of the ABI");
}

async function run(env: Env, args: Arguments): Promise<void> {
  const named = specs(args.spec);
  if (named.length === 0 && !args.all) throw new UsageError("detach requires a SPEC or --all");
  if (named.length > 0 && args.all) throw new UsageError("detach takes a SPEC or --all, not both");
  const { detach } = await import("../../loader/operate/detach.ts");
  const { groups, unadopted, sidecars } = await detach({
    specs: named,
    all: args.all === true,
    ...bpffsOf(args.bpffs),
  });
  if (args.json) {
    const detached = groups.map(({ name, held }) => ({ ...groupIdentity(name), ...held }));
    env.stdout.write(`${JSON.stringify({ detached, unadopted, sidecars })}\n`);
    return;
  }
  const { placeOfGroup } = await import("../../loader/observe/netns_label.ts");
  for (const { name, held } of groups) {
    const lost = held.reset > 0 ? `: ${heldText(held)}` : "";
    env.stdout.write(`detached ${placeOfGroup(name)}${lost}\n`);
  }
  for (const { cgroup, ports } of unadopted) {
    const which = ports.length > 0 ? ` port ${ports.join(", ")} in` : "";
    env.stdout.write(`stopped adopting${which} cgroup ${cgroup}\n`);
  }
  for (const pid of sidecars) {
    env.stdout.write(`note: sidecar ${pid} leaves them alone until it is restarted\n`);
  }
  if (groups.length + unadopted.length === 0) env.stdout.write("nothing was attached\n");
}

export function detachCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "detach [spec..]",
    describe: "Undo an attach, also that of another process, and remove its pins",
    builder: options,
    handler: (args) => run(env, args),
  };
}
