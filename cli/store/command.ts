/** store: the fd store, and its commands. */
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { dropCommand } from "./drop.ts";
import { storeExecCommand } from "./exec.ts";
import { listCommand } from "./list.ts";
import { putCommand } from "./put.ts";
import { serveCommand } from "./serve.ts";
import { takeCommand } from "./take.ts";

/** @param exitWith called with the exit code of a command that was run */
export function storeCommand(env: Env, exitWith: (code: number) => void): CommandModule {
  return {
    command: "store",
    describe:
      "Keep file descriptors between two starts of a server; 'store --listen PATH' runs the store",
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
