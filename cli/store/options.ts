/** Options of the store's commands, and what they say, checked. */
import { UsageError } from "../../loader/errors.ts";
import { duration, once } from "../options/values.ts";

/** The bounds of the wire format. */
const MIN_TIMEOUT_MS = 1;
const MAX_TIMEOUT_MS = 3_600_000;
export const DEFAULT_TIMEOUT = "10s";

export const storeOption = {
  type: "string",
  requiresArg: true,
  demandOption: true,
  describe: "the socket of the store: what it was started with as --listen",
} as const;

export const jsonOption = { type: "boolean", describe: "print JSON" } as const;

/** The value of --store. */
export function storePath(value: string): string {
  return once("store", value) ?? "";
}

/** The value of --timeout, ms, as an option of the loader: absent when it is not given. */
export function timeoutOption(value: string | undefined, name = "timeout"): { timeoutMs?: number } {
  const text = once(name, value);
  if (text === undefined) return {};
  return { timeoutMs: duration(name, text, MIN_TIMEOUT_MS, MAX_TIMEOUT_MS) };
}

/** `--name web,admin`, also given more than once; each name once. */
export function names(value: string | readonly string[] | undefined): string[] {
  const all = [value ?? []].flat().flatMap((text) => text.split(","));
  if (all.length === 0 || all.some((name) => name === "")) throw new UsageError("--name is empty");
  const twice = all.find((name, i) => all.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`--name ${twice} is given twice`);
  return all;
}

/** An octal file mode, such as 0600. */
export function mode(text: string): number {
  if (/^0?[0-7]{3}$/.test(text)) return Number.parseInt(text, 8);
  throw new UsageError(`--mode must be an octal mode such as 0600 or 0660, not '${text}'`);
}
