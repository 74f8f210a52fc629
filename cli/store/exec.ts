/** store exec: a server that can be stopped and started, its listeners waiting in the store meanwhile. */
import type { Argv, CommandModule } from "yargs";
import type { Spec } from "../../loader/core/spec.ts";
import { NoMatchError, UsageError } from "../../loader/errors.ts";
import type { FdStore } from "../../loader/store/fd_store.ts";
import type { Env } from "../env.ts";
import { specs } from "../options/values.ts";
import { logger } from "../output/log.ts";
import { commandAfter, requireCommand } from "../process/spec_command.ts";
import { type Passed, runWith } from "./inherit.ts";
import { names, storeOption, storePath, timeoutOption } from "./options.ts";

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .usage(
      "$0 store exec --store PATH --name NAME.. [--tcp SPEC..] -- COMMAND [ARG..]\n\nRun a server with listeners from the store; they stay there when it is gone, whatever ended it.",
    )
    .option("store", storeOption)
    .option("name", {
      type: "string",
      requiresArg: true,
      demandOption: true,
      describe:
        "what to take, several with commas: COMMAND has them from 3 on (LISTEN_FDS, LISTEN_FDNAMES)",
    })
    .option("tcp", {
      type: "string",
      array: true,
      nargs: 1,
      requiresArg: true,
      describe:
        "':8080', '127.0.0.1:8080', '[::1]:8080': where to listen when the store has nothing yet; one for each name, in that order",
    })
    .option("timeout", {
      type: "string",
      requiresArg: true,
      describe: "how long the store keeps them once this is gone [default: the store's]",
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

/** A name, and where to listen when the store has nothing of it; null: that is an error. */
interface Wanted {
  readonly name: string;
  readonly spec: Spec | null;
}

function request(args: Arguments): Wanted[] {
  const all = names(args.name);
  const where = specs(args.tcp);
  if (where.length > 0 && where.length !== all.length) {
    throw new UsageError(
      `--tcp is given ${where.length} times for ${all.length} names: one for each, in that order, or none`,
    );
  }
  return all.map((name, i) => ({ name, spec: where[i] ?? null }));
}

async function run(env: Env, args: Arguments): Promise<number> {
  const command = commandAfter("store exec --store PATH --name web", args["--"]);
  const wanted = request(args);
  const timeout = timeoutOption(args.timeout);
  requireCommand(command[0], env.vars["PATH"]);
  const { FdStore } = await import("../../loader/store/fd_store.ts");
  const { notifyService } = await import("../../loader/host/sd_notify.ts");
  const log = logger(env.stderr, args.json === true);
  const say = (level: "info" | "warn", text: string) =>
    log({ level, event: "store", text, fields: {} });
  let lost = false;
  using store = await FdStore.connect(storePath(args.store), (event, text) => {
    if (event === "lost" || event === "back") lost = event === "lost";
    say(event === "back" ? "info" : "warn", text);
  });
  const passed: Passed[] = [];
  for (const each of wanted) passed.push(...(await claim(store, each, timeout)));
  notifyService("READY=1", env.vars["NOTIFY_SOCKET"]);
  const code = await runWith(env, command, passed);
  if (lost) say("warn", `the store at ${store.path} is still gone: the listeners are closed`);
  return code;
}

/** Takes what the store has, or opens it; the store holds it as long as this process lives, and a while longer. */
async function claim(
  store: FdStore,
  { name, spec }: Wanted,
  timeout: { readonly timeoutMs?: number },
): Promise<Passed[]> {
  const taken = await store.take(name, { keep: true, ...timeout });
  if (taken !== null) return taken.map((fd) => ({ name, fd }));
  if (spec !== null) return [{ name, fd: await store.listen(name, spec, timeout) }];
  throw new NoMatchError(
    `the store has nothing named '${name}': put it there, or say where to listen with --tcp`,
  );
}

/** @param exitWith takes the exit code: the command's */
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
