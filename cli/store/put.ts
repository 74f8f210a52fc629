/** store put: deposits file descriptors that the shell opened, and exits. */
import type { Argv, CommandModule } from "yargs";
import { AbsentError, UsageError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";
import { jsonOption } from "../options/pinned.ts";
import { integer } from "../options/values.ts";
import { names, storeOption, storePath, timeoutOption } from "./options.ts";

const MAX_FD = 1_048_576; // fs.nr_open as Linux sets it

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .positional("fd", {
      type: "string",
      array: true,
      demandOption: true,
      describe: "numbers of open file descriptors, in order",
    })
    .option("store", storeOption)
    .option("name", {
      type: "string",
      requiresArg: true,
      demandOption: true,
      describe: "the name to store them under",
    })
    .option("timeout", {
      type: "string",
      requiresArg: true,
      defaultDescription: "the store's",
      describe: "time that they are kept, from now on",
    })
    .option("shared", { type: "boolean", describe: "let any number of processes take them" })
    .option("add", {
      type: "boolean",
      describe: "add them to those under the name, instead of replacing those",
    })
    .option("json", jsonOption)
    .example("$0 store put --store /run/fds.sock --name log 3 3>>/var/log/app.log", "a file")
    .example(
      "mkfifo p && $0 store put --store /run/fds.sock --name in --timeout 1m 3 3<>p",
      "a pipe, for a minute",
    );
}

interface Arguments {
  readonly fd: string[];
  readonly store: string;
  readonly name: string;
  readonly timeout: string | undefined;
  readonly shared: boolean | undefined;
  readonly add: boolean | undefined;
  readonly json: boolean | undefined;
}

const notOpen = (fds: readonly number[]) =>
  `file descriptor ${fds.join(", ")} is not open: open it in the shell, as in '3<file'`;

async function run(env: Env, args: Arguments): Promise<void> {
  const fds = args.fd.map((text) => integer("fd", text, 0, MAX_FD));
  const [name = "", ...more] = names(args.name);
  if (more.length > 0) throw new UsageError("store put takes one --name");
  const { inheritedFds } = env;
  const foreign = inheritedFds ? fds.filter((fd) => !inheritedFds.has(fd)) : [];
  if (foreign.length > 0) throw new AbsentError(notOpen(foreign));
  const { FdStore } = await import("../../loader/store/fd_store.ts");
  const { hasCode } = await import("../../loader/errors.ts");
  using store = await FdStore.connect(storePath(args.store));
  try {
    const { shared = false, add = false } = args;
    await store.put(name, fds, { ...timeoutOption(args.timeout), shared, add });
  } catch (error) {
    if (!hasCode(error, "EBADF")) throw error;
    throw new AbsentError(notOpen(fds));
  }
  env.stdout.write(
    args.json ? `${JSON.stringify({ put: fds.length, name })}\n` : `put ${fds.length} as ${name}\n`,
  );
}

export function putCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "put <fd..>",
    describe: "Deposit file descriptors and exit: their time starts at once",
    builder: options,
    handler: (args) => run(env, args),
  };
}
