/** Options that several commands share, and checks that yargs does not do. Pure. */

import { parseSpec, type Spec } from "../../loader/core/spec.ts";
import { UsageError } from "../../loader/errors.ts";
import { suggestion } from "./suggest.ts";

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

/** One of a few words; undefined when none is given. */
export function choice<T extends string>(
  name: string,
  text: string | undefined,
  choices: readonly T[],
): T | undefined {
  const found = choices.find((each) => each === text);
  if (text === undefined || found !== undefined) return found;
  throw new UsageError(
    `--${name} must be ${choices.join(" or ")}, not '${text}'${suggestion(text, choices)}`,
  );
}

/** A decimal integer within bounds. */
export function integer(name: string, text: string, min: number, max: number): number {
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new UsageError(`--${name} must be a number from ${min} to ${max}, not '${text}'`);
  }
  return value;
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A duration such as `250ms`, `1.5s`, `2m` or `1h` (and `0`), within bounds; in whole ms. */
export function duration(name: string, text: string, minMs: number, maxMs: number): number {
  const [, digits, unit = ""] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = text === "0" ? 0 : Math.round(Number(digits) * (UNIT_MS[unit] ?? Number.NaN));
  if (!(ms >= minMs && ms <= maxMs)) {
    const bounds = `${durationText(minMs)} to ${durationText(maxMs)}`;
    throw new UsageError(
      `--${name} must be a duration from ${bounds}, such as 300ms, 10s or 2m, not '${text}'`,
    );
  }
  return ms;
}

/** 10000 as `10s`: the largest unit that leaves no fraction. */
export function durationText(ms: number): string {
  if (ms === 0) return "0";
  const unit = Object.keys(UNIT_MS).findLast((name) => ms % (UNIT_MS[name] ?? 1) === 0) ?? "ms";
  return `${ms / (UNIT_MS[unit] ?? 1)}${unit}`;
}
