/** store: the fd store, and its commands. */
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { dropCommand } from "../store/drop.ts";
import { storeExecCommand } from "../store/exec.ts";
import { listCommand } from "../store/list.ts";
import { putCommand } from "../store/put.ts";
import { serveCommand } from "../store/serve.ts";
import { takeCommand } from "../store/take.ts";

/** @param exitWith takes the exit code of a command that was run */
export function storeCommand(env: Env, exitWith: (code: number) => void): CommandModule {
  return {
    command: "store",
    describe: "Keep file descriptors between two starts of a server; 'store --listen PATH' runs it",
    builder: (yargs: Argv) =>
      yargs
        .command(serveCommand(env))
        .command(putCommand(env))
        .command(takeCommand(env, exitWith))
        .command(listCommand(env))
        .command(dropCommand(env))
        .command(storeExecCommand(env, exitWith)),
    handler: () => {},
  };
}
