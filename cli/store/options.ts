/** Options of the store's commands, validated. */
import { duration, OptionError, once } from "../options/values.ts";

/** The bounds of the wire format. */
const MIN_TIMEOUT_MS = 1;
const MAX_TIMEOUT_MS = 3_600_000;
export const DEFAULT_TIMEOUT = "10s";

export const storeOption = {
  type: "string",
  requiresArg: true,
  demandOption: true,
  describe: "the socket of the store, as given to its --listen",
} as const;

/** --name of a command that gets file descriptors. */
export const takeNameOption = {
  type: "string",
  requiresArg: true,
  demandOption: true,
  describe:
    "the names to take, with commas; COMMAND has their file descriptors from 3 on (LISTEN_FDS, LISTEN_FDNAMES)",
} as const;

/** Returns the value of --store. */
export function storePath(value: string): string {
  return once("--store", value) ?? "";
}

/** Returns --timeout as an option of the loader, ms; absent if it is not given. */
export function timeoutOption(value: string | undefined): { timeoutMs?: number } {
  const text = once("--timeout", value);
  if (text === undefined) return {};
  return { timeoutMs: duration("--timeout", text, MIN_TIMEOUT_MS, MAX_TIMEOUT_MS) };
}

/** Returns the names of `--name web,admin`, which may be repeated. @throws OptionError */
export function names(value: string | readonly string[] | undefined): string[] {
  const all = [value ?? []].flat().flatMap((text) => text.split(","));
  if (all.length === 0 || all.some((name) => name === ""))
    throw new OptionError("--name", "is empty");
  const twice = all.find((name, i) => all.indexOf(name) !== i);
  if (twice !== undefined) throw new OptionError("--name", `${twice} is given twice`);
  return all;
}

/** Parses an octal file mode such as 0600. @throws OptionError */
export function mode(text: string): number {
  if (/^0?[0-7]{3}$/.test(text)) return Number.parseInt(text, 8);
  throw new OptionError("--mode", `must be an octal mode such as 0600 or 0660, not '${text}'`);
}
