/** store exec: runs a server whose listeners stay in the store between two starts. */
import type { Argv, CommandModule } from "yargs";
import type { Spec } from "../../loader/core/spec.ts";
import { NoMatchError, UsageError } from "../../loader/errors.ts";
import type { FdStore } from "../../loader/store/fd_store.ts";
import type { Env } from "../env.ts";
import { specs } from "../options/values.ts";
import { lastingLog } from "../output/log.ts";
import { commandAfter, requireCommand } from "../process/spec_command.ts";
import { type Passed, runWith } from "./inherit.ts";
import { names, storeOption, storePath, takeNameOption, timeoutOption } from "./options.ts";

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .usage("$0 store exec --store PATH --name NAME.. [--tcp SPEC..] -- COMMAND [ARG..]")
    .option("store", storeOption)
    .option("name", takeNameOption)
    .option("tcp", {
      type: "string",
      array: true,
      nargs: 1,
      requiresArg: true,
      describe:
        "where to listen if the store does not have a name yet: ':8080', '127.0.0.1:8080', '[::1]:8080'; one for each name, in that order",
    })
    .option("timeout", {
      type: "string",
      requiresArg: true,
      defaultDescription: "the store's",
      describe: "time that the store keeps them once this process has ended",
    })
    .option("json", { type: "boolean", describe: "log in JSON, one object a line" })
    .example(
      "$0 store exec --store /run/fds.sock --name web --tcp :8080 -- node server.js",
      "server.js listens on { fd: 3 }",
    )
    .example(
      "$0 store exec --store /run/fds.sock --name web,tls --tcp :80 --tcp :443 -- haproxy -db -f ha.cfg",
      "with 'bind fd@3' and 'bind fd@4 ssl ...'",
    );
}

interface Arguments {
  readonly "--"?: string[];
  readonly store: string;
  readonly name: string | string[];
  readonly tcp: string[] | undefined;
  readonly timeout: string | undefined;
  readonly json: boolean | undefined;
}

/** A name, and where to listen if the store does not have it; null: that is an error. */
interface NamedListener {
  readonly name: string;
  readonly spec: Spec | null;
}

function request(args: Arguments): NamedListener[] {
  const all = names(args.name);
  const addresses = specs(args.tcp);
  if (addresses.length > 0 && addresses.length !== all.length) {
    throw new UsageError(
      `--tcp is given ${addresses.length} times for ${all.length} names: give one for each, in that order, or none`,
    );
  }
  return all.map((name, i) => ({ name, spec: addresses[i] ?? null }));
}

async function run(env: Env, args: Arguments): Promise<number> {
  const command = commandAfter("store exec --store PATH --name web", args["--"]);
  const listeners = request(args);
  const timeout = timeoutOption(args.timeout);
  requireCommand(command[0], env.vars["PATH"]);
  const { FdStore } = await import("../../loader/store/fd_store.ts");
  const { serviceNotifier } = await import("../../loader/host/sd_notify.ts");
  const { log } = lastingLog(env, () => args.json === true);
  const say = (level: "info" | "warn", text: string) =>
    log({ level, event: "store", text, fields: {} });
  let lost = false;
  using store = await FdStore.connect(storePath(args.store), (event, text) => {
    if (event === "lost" || event === "back") lost = event === "lost";
    say(event === "back" ? "info" : "warn", text);
  });
  const passed: Passed[] = [];
  for (const each of listeners) passed.push(...(await claim(store, each, timeout)));
  serviceNotifier(env.vars["NOTIFY_SOCKET"], (text) => say("warn", text))("READY=1");
  const code = await runWith(env, command, passed);
  if (lost) say("warn", `the store at ${store.path} is not back: the listeners are closed`);
  return code;
}

/**
 * Takes a listener from the store, or opens it; the store keeps it until some time after this
 * process ends.
 */
async function claim(
  store: FdStore,
  { name, spec }: NamedListener,
  timeout: { readonly timeoutMs?: number },
): Promise<Passed[]> {
  const taken = await store.take(name, { keep: true, ...timeout });
  if (taken !== null) return taken.map((fd) => ({ name, fd }));
  if (spec !== null) return [{ name, fd: await store.listen(name, spec.text, timeout) }];
  throw new NoMatchError(
    `the store has no '${name}': put it there, or give its address with --tcp`,
  );
}

/** @param exitWith called with the exit code of the command */
export function storeExecCommand(
  env: Env,
  exitWith: (code: number) => void,
): CommandModule<object, Arguments> {
  return {
    command: "exec",
    describe: "Run a server with listeners from the store, which keeps them for the next start",
    builder: options,
    handler: async (args) => exitWith(await run(env, args)),
  };
}
