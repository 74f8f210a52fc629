/** store take: runs a command with file descriptors that then leave the store. */
import type { Argv, CommandModule } from "yargs";
import { NoMatchError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";
import { commandAfter, requireCommand } from "../process/spec_command.ts";
import { type Passed, runWith } from "./inherit.ts";
import { names, storeOption, storePath, takeNameOption } from "./options.ts";

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .usage("$0 store take --store PATH --name NAME -- COMMAND [ARG..]")
    .option("store", storeOption)
    .option("name", takeNameOption)
    .option("json", { type: "boolean", describe: "print the taken names in JSON, to stderr" })
    .example("$0 store take --store /run/fds.sock --name log -- sh -c 'date >&3'", "a file")
    .example("$0 store take --store /run/fds.sock --name web -- ./server", "a listener, for good");
}

interface Arguments {
  readonly "--"?: string[];
  readonly store: string;
  readonly name: string | string[];
  readonly json: boolean | undefined;
}

async function run(env: Env, args: Arguments): Promise<number> {
  const command = commandAfter("store take --store PATH --name web", args["--"]);
  requireCommand(command[0], env.vars["PATH"]);
  const all = names(args.name);
  const { FdStore } = await import("../../loader/store/fd_store.ts");
  const passed: Passed[] = [];
  {
    using store = await FdStore.connect(storePath(args.store));
    for (const name of all) {
      // Kept until all are taken: if one is missing, none is lost.
      const fds = await store.take(name, { keep: true });
      if (fds === null) throw new NoMatchError(`the store has no '${name}'`);
      passed.push(...fds.map((fd) => ({ name, fd })));
    }
    for (const name of all) await store.confirm(name);
  }
  if (args.json) env.stderr.write(`${JSON.stringify({ taken: passed.map(({ name }) => name) })}\n`);
  return runWith(env, command, passed);
}

/** @param exitWith called with the exit code of the command */
export function takeCommand(
  env: Env,
  exitWith: (code: number) => void,
): CommandModule<object, Arguments> {
  return {
    command: "take",
    describe: "Run a command with file descriptors, which leave the store",
    builder: options,
    handler: async (args) => exitWith(await run(env, args)),
  };
}
