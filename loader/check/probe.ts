/**
 * A probe finds out one fact by doing it. It has three outcomes and never throws:
 * what cannot be told is an answer too. Nothing is remembered between runs. Pure.
 */
import {
  ConflictError,
  NotSupportedError,
  PermissionError,
  UsageError,
  VerifierError,
} from "../errors.ts";

export const PROBE_OUTCOMES = ["ok", "no", "unknown"] as const;
export type ProbeOutcome = (typeof PROBE_OUTCOMES)[number];

/** What a probe found. */
export interface Finding {
  readonly outcome: ProbeOutcome;
  readonly detail: string;
  /** What to do about it. */
  readonly advice?: string;
}

export interface Probe {
  readonly name: string;
  /** What it is for. */
  readonly use: string;
  /** Without it nothing works; else something does not. */
  readonly required: boolean;
  /** Names of probes that must have been ok before this one can tell. */
  readonly needs?: readonly string[];
  run(): Finding | Promise<Finding>;
}

export interface Result extends Finding {
  readonly name: string;
  readonly use: string;
  readonly required: boolean;
}

export const ok = (detail: string): Finding => ({ outcome: "ok", detail });
export const no = (detail: string, advice?: string): Finding => finding("no", detail, advice);
export const unknown = (detail: string, advice?: string): Finding =>
  finding("unknown", detail, advice);

function finding(outcome: ProbeOutcome, detail: string, advice: string | undefined): Finding {
  return advice === undefined ? { outcome, detail } : { outcome, detail, advice };
}

/** Runs probes in order. An aborted `signal` ends it between two of them: the rest cannot be told. */
export async function runProbes(
  probes: readonly Probe[],
  signal?: AbortSignal,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (const probe of probes) {
    const { name, use, required } = probe;
    const missing = results.find(
      (before) => probe.needs?.includes(before.name) && before.outcome !== "ok",
    );
    let found: Finding;
    if (signal?.aborted) found = unknown("interrupted");
    else if (missing) found = unknown(`wants '${missing.name}', which is not ok`);
    else found = await attempt(probe);
    results.push({ name, use, required, ...found });
  }
  return results;
}

/** An error that says what is missing is an answer; any other one is none. */
async function attempt(probe: Probe): Promise<Finding> {
  try {
    return await probe.run();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const conclusive = [
      PermissionError,
      NotSupportedError,
      VerifierError,
      UsageError,
      ConflictError,
    ];
    return conclusive.some((of) => error instanceof of) ? no(text) : unknown(text);
  }
}

export const VERDICTS = ["fit", "not fit", "fit with warnings"] as const;
/** In the order of `check`'s exit codes: 0, 1, 2. */
export type CheckVerdict = (typeof VERDICTS)[number];

/** What the results come to. */
export function checkVerdict(results: readonly Result[]): CheckVerdict {
  if (results.some(({ required, outcome }) => required && outcome === "no")) return "not fit";
  return results.every(({ outcome }) => outcome === "ok") ? "fit" : "fit with warnings";
}
