/** Options that the commands on pinned groups share: SPECs, --bpffs and --json. */
import type { Argv } from "yargs";
import { once } from "./values.ts";

export const bpffsOption = {
  type: "string",
  requiresArg: true,
  defaultDescription: "the first one mounted",
  describe: "directory on a bpf file system, for the pins",
} as const;

export const jsonOption = { type: "boolean", describe: "print JSON" } as const;

export interface PinnedArguments {
  readonly spec: string[] | undefined;
  readonly bpffs: string | undefined;
  readonly json: boolean | undefined;
}

/** Adds them to a command; `describe` is the meaning of its SPECs. */
export function pinnedOptions<T>(yargs: Argv<T>, describe: string): Argv<T & PinnedArguments> {
  return yargs
    .positional("spec", { type: "string", array: true, describe })
    .option("bpffs", bpffsOption)
    .option("json", jsonOption);
}

/** Returns `--bpffs` as an option of the loader; absent if it is not given. */
export function bpffsOf(value: string | readonly string[] | undefined): { bpffs?: string } {
  const bpffs = once<string>("--bpffs", value);
  return bpffs === undefined ? {} : { bpffs };
}
