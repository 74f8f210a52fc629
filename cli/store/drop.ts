/** store drop: closes the file descriptors under a name. */
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { jsonOption } from "../options/pinned.ts";
import { names, storeOption, storePath } from "./options.ts";

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .positional("name", {
      type: "string",
      array: true,
      demandOption: true,
      describe: "the names to close, also while a process holds them",
    })
    .option("store", storeOption)
    .option("json", jsonOption)
    .example(
      "$0 store drop --store /run/fds.sock web",
      "the server was stopped for good: free its port",
    );
}

interface Arguments {
  readonly name: string[];
  readonly store: string;
  readonly json: boolean | undefined;
}

async function run(env: Env, args: Arguments): Promise<void> {
  const all = names(args.name);
  const { FdStore } = await import("../../loader/store/fd_store.ts");
  using store = await FdStore.connect(storePath(args.store));
  const dropped: { name: string; fds: number }[] = [];
  for (const name of all) {
    const fds = await store.drop(name);
    dropped.push({ name, fds });
    if (!args.json) env.stdout.write(`dropped ${name}: ${fds} closed\n`);
  }
  if (args.json) env.stdout.write(`${JSON.stringify({ dropped })}\n`);
}

export function dropCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "drop <name..>",
    describe:
      "Close the file descriptors under a name: a listener resets its queue and frees its port",
    builder: options,
    handler: (args) => run(env, args),
  };
}
