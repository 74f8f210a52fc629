/** --store of attach: the sidecar's process runs a store too. */
import { UsageError } from "../../loader/errors.ts";
import type { SidecarOptions } from "../../loader/index.ts";
import { once } from "../options.ts";
import { DEFAULT_TIMEOUT, timeoutOption } from "./options.ts";

export const attachStoreOptions = {
  store: {
    type: "string",
    requiresArg: true,
    describe: "run an fd store too, on this socket: see 'store --help'",
  },
  "store-timeout": {
    type: "string",
    requiresArg: true,
    describe: `how long the store keeps what nobody holds any more [default: ${DEFAULT_TIMEOUT}]`,
  },
} as const;

export interface AttachStoreArguments {
  readonly store: string | undefined;
  readonly "store-timeout": string | undefined;
  readonly once: boolean | undefined;
}

/** @throws UsageError */
export function storeOf(args: AttachStoreArguments): Pick<SidecarOptions, "store"> {
  const path = once("store", args.store);
  const timeout = timeoutOption(args["store-timeout"], "store-timeout");
  if (path === undefined) {
    if (timeout.timeoutMs !== undefined) throw new UsageError("--store-timeout wants --store");
    return {};
  }
  if (args.once) {
    throw new UsageError("--once and --store exclude each other: a store is a process's");
  }
  return { store: { path, ...timeout } };
}
