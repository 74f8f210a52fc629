/** What a part of the demo prints at its end, and whether it showed what it promised. */
import { connections, KINDS, lost, type Tally } from "../helpers/load/client.ts";

export interface Run {
  readonly rounds: number;
  readonly tally: Tally;
  /** Text of /metrics at the end; empty without the sidecar. */
  readonly metrics: string;
}

export interface Shown {
  /** What its rounds are called. */
  readonly rounds: string;
  /** The loss that there must be without the sidecar. */
  readonly loss: (tally: Tally) => number;
  /** What the sidecar counted: a row's name, and the number in its metrics. */
  readonly counted: readonly (readonly [name: string, count: (metrics: string) => number])[];
}

export function table({ rounds, counted }: Shown, without: Run, with_: Run): string {
  const row = (name: string, a: string | number, b: string | number) =>
    `  ${name.padEnd(34)}${String(a).padStart(14)}${String(b).padStart(14)}`;
  // `other` is an error of the client itself: of interest only if there is one.
  const losses = KINDS.filter(
    (kind) => kind !== "ok" && (kind !== "other" || without.tally.other + with_.tally.other > 0),
  );
  return [
    row("", "without", "with sidecar"),
    row(rounds, without.rounds, with_.rounds),
    row("connections", connections(without.tally), connections(with_.tally)),
    row("answered", without.tally.ok, with_.tally.ok),
    ...losses.map((kind) => row(`lost: ${kind}`, without.tally[kind], with_.tally[kind])),
    row("lost", lost(without.tally), lost(with_.tally)),
    ...counted.map(([name, count]) => row(name, "-", count(with_.metrics))),
  ].join("\n");
}

/** The product's own samples that are not zero, the buckets of histograms left out. */
export function samples(metrics: string): string {
  return metrics
    .split("\n")
    .filter((line) => line.startsWith("reuseport_migrate_") && !line.endsWith(" 0"))
    .filter((line) => !line.includes("_bucket{"))
    .map((line) => `  ${line.replace(/,?service="[^"]*",group="[^"]*"/, "").replace("{}", "")}`)
    .join("\n");
}

/** What the runs did not show and should, a sentence each. */
export function failures({ loss, rounds }: Shown, without: Run, with_: Run): string[] {
  const found: string[] = [];
  if (loss(without.tally) === 0) found.push(`${rounds} without the sidecar lost nobody`);
  if (lost(with_.tally) > 0) found.push(`${rounds} with the sidecar lost connections`);
  return found;
}
