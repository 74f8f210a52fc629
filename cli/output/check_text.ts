/** What `check` found, as text for people and as JSON for programs. */
import type { Note } from "../../loader/check/host.ts";
import type { CheckVerdict, ProbeOutcome, Result } from "../../loader/check/probe.ts";
import type { SpecGroup } from "../../loader/check/spec_listeners.ts";

export interface Report {
  readonly verdict: CheckVerdict;
  readonly host: readonly Result[];
  readonly places: readonly SpecGroup[];
  readonly defects: readonly Note[];
}

const MARK: Readonly<Record<ProbeOutcome, string>> = { ok: "ok", no: "no", unknown: "?" };

function resultText({ detail, advice }: Result): string {
  return advice === undefined ? detail : `${detail}: ${advice}`;
}

/** What `check` prints: one line a probe. */
export function checkText({ verdict, host, places, defects }: Report): string {
  const all = [...host, ...places.flatMap(({ results }) => results), ...defects];
  const width = Math.max(...all.map(({ name }) => name.length));
  const line = (mark: string, name: string, text: string) =>
    `${mark.padEnd(4)}  ${name.padEnd(width)}  ${text}`;
  const lines = (results: readonly Result[]) =>
    results.map((it) => line(MARK[it.outcome], it.name, resultText(it)));
  const blocks = [
    lines(host),
    ...places.map(({ name, netns, results }) => [
      netns === null ? name : `${name}, netns ${netns}`,
      ...lines(results),
    ]),
    ["known kernel defects", ...defects.map(({ name, text }) => line("", name, text))],
    [verdict],
  ];
  return blocks.map((block) => block.join("\n")).join("\n\n");
}

/** What `check --json` prints. */
export function checkJson({ verdict, host, places, defects }: Report): unknown {
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
    places: places.map(({ spec, name, netns, results }) => ({
      spec,
      name,
      netns,
      probes: probes(results),
    })),
    defects,
  };
}
