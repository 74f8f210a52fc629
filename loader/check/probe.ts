/**
 * A probe checks one feature by using it. It has three outcomes: ok, no, and unknown if the probe
 * itself failed. No result is cached between runs. Pure.
 */
import {
  ConflictError,
  NotSupportedError,
  PermissionError,
  UsageError,
  VerifierError,
} from "../errors.ts";
import type { CAPABILITIES, OPTIONAL_CAPABILITIES } from "../host/capabilities.ts";
import type { MigratingStage } from "../selftest/migration.ts";
import type { Wait } from "../sys/blocking_wait.ts";

export const PROBE_OUTCOMES = ["ok", "no", "unknown"] as const;
export type ProbeOutcome = (typeof PROBE_OUTCOMES)[number];

/** The result of running a probe. */
export interface Finding {
  readonly outcome: ProbeOutcome;
  readonly detail: string;
  /** A remedy, as an imperative. */
  readonly advice?: string;
  /** The probe was not run, because an earlier one failed. */
  readonly skipped?: true;
}

export interface Probe<Name extends string = string> {
  readonly name: Name;
  /** The purpose of the feature, such as "to load BPF programs". */
  readonly use: string;
  /** True if nothing works without the feature, false if only some options do not. */
  readonly required: boolean;
  /** Earlier probes that must be ok, or this one is skipped. */
  readonly needs?: readonly Name[];
  run(): Finding | Promise<Finding>;
}

export type HostProbeName =
  | (typeof CAPABILITIES | typeof OPTIONAL_CAPABILITIES)[number]["name"]
  | "BTF"
  | "bpffs"
  | "libbpf"
  | "cgroup v2"
  | "program loads"
  | "pins"
  | "iterator loads"
  | "sockmap takes a listener"
  | "bind events"
  | "bind hooks"
  | "netns"
  | "pidfd_getfd"
  | "tcp_migrate_req"
  | `migrates ${MigratingStage}`
  | `wakes ${Wait}`;

export type HostProbe = Probe<HostProbeName>;

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

/** Runs probes in order. If `signal` is aborted, the remaining ones are unknown. */
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
    else if (missing) found = skipped(missing.name);
    else found = await attempt(probe);
    results.push({ name, use, required, ...found });
  }
  return results;
}

/** Returns the finding of a probe that needs the probe `name`, which was not ok. */
export function skipped(name: string): Finding {
  return { ...unknown(`skipped: it depends on '${name}', which failed`), skipped: true };
}

/** Runs a probe. An error that names a missing feature is a "no", any other error is "unknown". */
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
export type CheckVerdict = (typeof VERDICTS)[number];

/** Returns the verdict on a host and its groups. */
export function checkVerdict(results: readonly Result[]): CheckVerdict {
  if (results.some(({ required, outcome }) => required && outcome === "no")) return "not fit";
  return results.every(({ outcome }) => outcome === "ok") ? "fit" : "fit with warnings";
}
