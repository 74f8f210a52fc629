/** Results of `check` as text and as JSON. Pure. */
import type { Note } from "../../loader/check/host.ts";
import type { CheckVerdict, ProbeOutcome, Result } from "../../loader/check/probe.ts";
import type { SpecGroup } from "../../loader/check/spec_listeners.ts";

export interface Report {
  readonly verdict: CheckVerdict;
  readonly host: readonly Result[];
  readonly groups: readonly SpecGroup[];
  readonly defects: readonly Note[];
}

const MARK: Readonly<Record<ProbeOutcome, string>> = { ok: "ok", no: "no", unknown: "?" };

function resultText({ detail, advice }: Result): string {
  return advice === undefined ? detail : `${detail}: ${advice}`;
}

/** Returns what `check` prints: one line for each probe. */
export function checkText({ verdict, host, groups, defects }: Report): string {
  const all = [...host, ...groups.flatMap(({ results }) => results), ...defects];
  const width = Math.max(...all.map(({ name }) => name.length));
  const line = (mark: string, name: string, text: string) =>
    `${mark.padEnd(4)}  ${name.padEnd(width)}  ${text}`;
  const lines = (results: readonly Result[]) =>
    results.map((it) => line(MARK[it.outcome], it.name, resultText(it)));
  const blocks = [
    lines(host),
    ...groups.map(({ name, netns, results }) => [
      netns === null ? name : `${name}, netns ${netns}`,
      ...lines(results),
    ]),
    ["known kernel defects", ...defects.map(({ name, text }) => line("", name, text))],
    [verdict],
  ];
  return blocks.map((block) => block.join("\n")).join("\n\n");
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
