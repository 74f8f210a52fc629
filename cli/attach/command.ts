/** attach: the sidecar. */
import type { CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { type AttachArguments, attachOptions, attachRequest } from "./options.ts";

async function handle(env: Env, args: AttachArguments): Promise<void> {
  if (!args["print-config"]) return (await import("./run.ts")).run(env, args);
  const { json, ...others } = args;
  // Here --json is the format to print, not that of the log.
  const { hostValues, services } = await attachRequest({ ...others, json: undefined });
  const { printed } = await import("../config/print.ts");
  env.stdout.write(printed(hostValues, services, json === true));
}

export function attachCommand(env: Env): CommandModule<object, AttachArguments> {
  return {
    command: "attach [spec..]",
    describe: "Attach to the listeners of running servers, and manage them until stopped",
    builder: attachOptions,
    handler: (args) => handle(env, args),
  };
}
