/** store put: deposits file descriptors that the shell gave us, and leaves. */
import { readlinkSync } from "node:fs";
import type { Argv, CommandModule } from "yargs";
import { UsageError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";
import { integer } from "../options/values.ts";
import { jsonOption, names, storeOption, storePath, timeoutOption } from "./options.ts";

const MAX_FD = 1_048_576; // fs.nr_open as Linux sets it

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .positional("fd", {
      type: "string",
      array: true,
      demandOption: true,
      describe: "numbers of open file descriptors, in this order",
    })
    .option("store", storeOption)
    .option("name", {
      type: "string",
      requiresArg: true,
      demandOption: true,
      describe: "what to ask for them by",
    })
    .option("timeout", {
      type: "string",
      requiresArg: true,
      describe:
        "how long they are kept, from now on: this command does not stay [default: the store's]",
    })
    .option("shared", { type: "boolean", describe: "any number of processes may take them" })
    .option("add", {
      type: "boolean",
      describe: "to those that are there, instead of in their place",
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
  `file descriptor ${fds.join(", ")} is not open: the shell opens it, as in '3<file'`;

/** What the shell did not open may be something of Node's: its event loop's, by the lowest numbers. */
function isOurs(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("anon_inode:");
  } catch {
    return false;
  }
}

async function run(env: Env, args: Arguments): Promise<void> {
  const fds = args.fd.map((text) => integer("fd", text, 0, MAX_FD));
  const [name = "", ...more] = names(args.name);
  if (more.length > 0) throw new UsageError("store put wants one --name");
  const foreign = fds.find(isOurs);
  if (foreign !== undefined) throw new UsageError(notOpen([foreign]));
  const { FdStore } = await import("../../loader/store/fd_store.ts");
  const { hasCode } = await import("../../loader/errors.ts");
  using store = await FdStore.connect(storePath(args.store));
  try {
    const { shared = false, add = false } = args;
    await store.put(name, fds, { ...timeoutOption(args.timeout), shared, add });
  } catch (error) {
    if (!hasCode(error, "EBADF")) throw error;
    throw new UsageError(notOpen(fds));
  }
  env.stdout.write(
    args.json ? `${JSON.stringify({ put: fds.length, name })}\n` : `put ${fds.length} as ${name}\n`,
  );
}

export function putCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "put <fd..>",
    describe: "Deposit file descriptors and leave: their time runs at once",
    builder: options,
    handler: (args) => run(env, args),
  };
}
