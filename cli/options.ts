/** Options that several commands share, and checks that yargs does not do. */
import { UsageError } from "../loader/errors.ts";
import { parseSpec, type Spec } from "../loader/spec.ts";

export const bpffsOption = {
  type: "string",
  describe: "directory on a bpf file system, for the pins [default: the first one mounted]",
  requiresArg: true,
} as const;

/** SPECs from the command line; each once. */
export function specs(texts: readonly string[] | undefined): Spec[] {
  const all = (texts ?? []).map(parseSpec);
  const twice = all.find(({ text }, i) => all.findIndex((spec) => spec.text === text) !== i);
  if (twice) throw new UsageError(`${twice.text} is given twice`);
  return all;
}

/** yargs collects a repeated option into an array: for these that is a mistake. */
export function once<T>(name: string, value: T | readonly T[] | undefined): T | undefined {
  if (Array.isArray(value)) throw new UsageError(`--${name} is given more than once`);
  return value as T | undefined;
}

/** `--bpffs` as the library wants it: absent when it is not given. */
export function bpffsOf(value: string | readonly string[] | undefined): { bpffs?: string } {
  const bpffs = once<string>("bpffs", value);
  return bpffs === undefined ? {} : { bpffs };
}

/** A decimal integer within bounds. */
export function integer(name: string, text: string, min: number, max: number): number {
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new UsageError(`--${name} must be a number from ${min} to ${max}, not '${text}'`);
  }
  return value;
}
