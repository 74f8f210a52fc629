/** Results of `check` as text and as JSON. Pure. */
import type { Note } from "../../loader/check/host.ts";
import { type CheckVerdict, checkVerdict, type Result } from "../../loader/check/probe.ts";
import type { SpecGroup } from "../../loader/check/spec_listeners.ts";
import { columns, hanging } from "./columns.ts";

export interface Report {
  readonly verdict: CheckVerdict;
  readonly host: readonly Result[];
  readonly groups: readonly SpecGroup[];
  readonly defects: readonly Note[];
}

export interface CheckTextOptions {
  /** Every probe, not only those that are not ok. */
  readonly verbose: boolean;
  /** Columns. */
  readonly width: number;
}

/** The widest name of a probe, with its mark. */
const LEFT = 32;

/** What a verdict means for a SPEC. */
const READY: Readonly<Record<CheckVerdict, string>> = {
  fit: "ready",
  "fit with warnings": "ready, with warnings",
  "not fit": "not ready",
};

function mark({ outcome, required, skipped }: Result): string {
  if (skipped) return "skip";
  if (outcome === "unknown") return "?";
  return outcome === "no" && !required ? "warn" : outcome;
}

/** Returns a row for each probe. */
function allRows(results: readonly Result[]): string[][] {
  const width = Math.max(...results.map(({ name }) => name.length));
  return results.map((it) => [`${mark(it).padEnd(4)}  ${it.name.padEnd(width)}`, textOf(it)]);
}

/** Returns a row for each problem; capabilities have one row, and probes that were not run. */
function problemRows(results: readonly Result[]): string[][] {
  const problems = results.filter(({ outcome, skipped }) => outcome !== "ok" && !skipped);
  const lacking = problems.filter(({ name, outcome }) => isCapability(name) && outcome === "no");
  const [first] = lacking.length > 1 ? lacking : [];
  const rows = problems.flatMap((it) => {
    if (first && it !== first && lacking.includes(it)) return [];
    return [[mark(it), it === first ? capabilitiesText(lacking) : `${it.name}: ${textOf(it)}`]];
  });
  const skipped = results.filter((it) => it.skipped).map(({ name }) => name);
  if (skipped.length > 0) rows.push(["skip", `not run without those: ${skipped.join(", ")}`]);
  return rows;
}

const isCapability = (name: string): boolean => name.startsWith("CAP_");

function capabilitiesText(lacking: readonly Result[]): string {
  const names = lacking.map(({ name }) => name).join(", ");
  return `capabilities are missing: ${names}\n${remedy(lacking[0]?.advice ?? "")}`;
}

function textOf({ detail, advice }: Result): string {
  return advice === undefined ? detail : `${detail}\n${remedy(advice)}`;
}

const remedy = (advice: string): string => `-> ${advice}`;

/** Returns what `check` prints: verdicts, and the problems below each. */
export function checkText(
  { host, groups, defects }: Report,
  { verbose, width }: CheckTextOptions,
): string {
  const rows = verbose ? allRows : problemRows;
  const count = host.filter(({ outcome }) => outcome === "ok").length;
  const known = defects.filter(({ applies }) => verbose || applies);
  const blocks = [
    [
      `host: ${checkVerdict(host)} (${count} of ${host.length} probes ok)`,
      ...columns(rows(host), width, LEFT),
    ],
    ...groups.map(({ name, netns, results }) => [
      `${netns === null ? name : `${name}, netns ${netns}`}: ${READY[checkVerdict(results)]}`,
      ...columns(rows(results), width, LEFT),
    ]),
    ...(known.length > 0
      ? [["known kernel defects", ...known.flatMap((it) => defectLines(it, width))]]
      : []),
  ];
  return blocks.map((block) => block.join("\n")).join("\n\n");
}

function defectLines({ name, text }: Note, width: number): string[] {
  return hanging(`  ${name}: ${text}`, width);
}

/** Returns what `check --json` prints. */
export function checkJson({ verdict, host, groups, defects }: Report): unknown {
  const probes = (results: readonly Result[]) =>
    results.map(({ name, use, required, outcome, detail, advice = null }) => ({
      name,
      use,
      required,
      outcome,
      detail,
      advice,
    }));
  return {
    verdict,
    probes: probes(host),
    places: groups.map(({ spec, name, netns, results }) => ({
      spec,
      name,
      netns,
      probes: probes(results),
    })),
    defects,
  };
}
