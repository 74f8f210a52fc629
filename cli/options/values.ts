/**
 * Values of options: checks that yargs does not make. A `label` is the option as the user wrote it,
 * at the start of a sentence: `--hold-max`, or `services.web.hold.max:` for a config file. Pure.
 */
import { parseSpec, type Spec } from "../../loader/core/spec.ts";
import { UsageError } from "../../loader/errors.ts";
import { nearest } from "./suggest.ts";

/** The value of one option is wrong; the message starts with the option's label. */
export class OptionError extends UsageError {
  constructor(label: string, text: string) {
    super(`${label} ${text}`);
  }
}

/** Parses the SPECs of a command line. @throws UsageError, also if one is given twice */
export function specs(texts: readonly string[] | undefined): Spec[] {
  const all = (texts ?? []).map(parseSpec);
  const twice = all.find(({ text }, i) => all.findIndex((spec) => spec.text === text) !== i);
  if (twice) throw new UsageError(`${twice.text} is given twice`);
  return all;
}

/**
 * Returns the value of an option; yargs collects a repeated one into an array.
 * @throws OptionError
 */
export function once<T>(label: string, value: T | readonly T[] | undefined): T | undefined {
  if (Array.isArray(value)) throw new OptionError(label, "is given more than once");
  return value as T | undefined;
}

/** Returns one of `choices`, or undefined if no value is given. @throws OptionError */
export function choice<T extends string>(
  label: string,
  text: string | undefined,
  choices: readonly T[],
): T | undefined {
  const found = choices.find((each) => each === text);
  if (text === undefined || found !== undefined) return found;
  const best = nearest(text, choices);
  const hint = best ? `: did you mean '${best}'?` : "";
  throw new OptionError(label, `must be ${choices.join(" or ")}, not '${text}'${hint}`);
}

/** Parses a decimal integer within bounds. @throws OptionError */
export function integer(label: string, text: string, min: number, max: number): number {
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new OptionError(label, `must be a number from ${min} to ${max}, not '${text}'`);
  }
  return value;
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/**
 * Parses a duration such as `250ms`, `1.5s`, `2m`, `1h` or `0` into whole ms.
 * @throws OptionError
 */
export function duration(label: string, text: string, minMs: number, maxMs: number): number {
  const [, digits, unit = ""] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = text === "0" ? 0 : Math.round(Number(digits) * (UNIT_MS[unit] ?? Number.NaN));
  if (!(ms >= minMs && ms <= maxMs)) {
    const bounds = `${durationText(minMs)} to ${durationText(maxMs)}`;
    throw new OptionError(
      label,
      `must be a duration from ${bounds}, such as 300ms, 10s or 2m, not '${text}'`,
    );
  }
  return ms;
}

/** Formats ms with the largest unit that leaves no fraction: 10000 as `10s`. */
export function durationText(ms: number): string {
  if (ms === 0) return "0";
  const unit = Object.keys(UNIT_MS).findLast((name) => ms % (UNIT_MS[name] ?? 1) === 0) ?? "ms";
  return `${ms / (UNIT_MS[unit] ?? 1)}${unit}`;
}
