/** store take: a command gets what the store has, for good. */
import type { Argv, CommandModule } from "yargs";
import { NoMatchError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";
import { commandAfter, requireCommand } from "../process/spec_command.ts";
import { type Passed, runWith } from "./inherit.ts";
import { names, storeOption, storePath } from "./options.ts";

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .usage(
      "$0 store take --store PATH --name NAME -- COMMAND [ARG..]\n\nThe store has them no more.",
    )
    .option("store", storeOption)
    .option("name", {
      type: "string",
      requiresArg: true,
      demandOption: true,
      describe: "what to take, several with commas: COMMAND has them from 3 on (LISTEN_FDS)",
    })
    .option("json", { type: "boolean", describe: "say what was taken in JSON, on stderr" })
    .example("$0 store take --store /run/fds.sock --name log -- sh -c 'date >&3'", "a file")
    .example(
      "$0 store take --store /run/fds.sock --name web -- ./server",
      "a listener, not to come back",
    );
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
  const wanted = names(args.name);
  const { FdStore } = await import("../../loader/store/fd_store.ts");
  const passed: Passed[] = [];
  {
    using store = await FdStore.connect(storePath(args.store));
    for (const name of wanted) {
      // Kept until all are there: none is lost when one is missing.
      const fds = await store.take(name, { keep: true });
      if (fds === null) throw new NoMatchError(`the store has nothing named '${name}'`);
      passed.push(...fds.map((fd) => ({ name, fd })));
    }
    for (const name of wanted) await store.confirm(name);
  }
  if (args.json) env.stderr.write(`${JSON.stringify({ taken: passed.map(({ name }) => name) })}\n`);
  return runWith(env, command, passed);
}

/** @param exitWith takes the exit code: the command's */
export function takeCommand(
  env: Env,
  exitWith: (code: number) => void,
): CommandModule<object, Arguments> {
  return {
    command: "take",
    describe: "Run a command with what the store has, which then has it no more",
    builder: options,
    handler: async (args) => exitWith(await run(env, args)),
  };
}
