/** The results of a part of the demo as text, and whether they are as expected. */
import { connections, KINDS, lost, type Tally } from "../helpers/load/client.ts";

export interface Run {
  readonly rounds: number;
  readonly tally: Tally;
  /** The metrics at the end; empty without the sidecar. */
  readonly metrics: string;
}

export interface Shown {
  /** The name of its rounds, in the plural. */
  readonly rounds: string;
  /** The loss that must occur without the sidecar. */
  readonly loss: (tally: Tally) => number;
  /** Counters of the sidecar: the name of a row, and its number in the metrics. */
  readonly counted: readonly (readonly [name: string, count: (metrics: string) => number])[];
}

export function table({ rounds, counted }: Shown, without: Run, with_: Run): string {
  const row = (name: string, a: string | number, b: string | number) =>
    `  ${name.padEnd(34)}${String(a).padStart(14)}${String(b).padStart(14)}`;
  // `other` is an error of the client itself, shown only if one occurred.
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

/** Returns the samples of reuseport-migrate that are not zero, without buckets of histograms. */
export function samples(metrics: string): string {
  return metrics
    .split("\n")
    .filter((line) => line.startsWith("reuseport_migrate_") && !line.endsWith(" 0"))
    .filter((line) => !line.includes("_bucket{"))
    .map(
      (line) =>
        `  ${line.replace(/,?service="[^"]*",address="[^"]*",port="\d+",netns="[^"]*"/, "").replace("{}", "")}`,
    )
    .join("\n");
}

/** Returns a sentence for each expectation that the runs did not meet. */
export function failures({ loss, rounds }: Shown, without: Run, with_: Run): string[] {
  const found: string[] = [];
  if (loss(without.tally) === 0) found.push(`${rounds} without the sidecar lost no connection`);
  if (lost(with_.tally) > 0) found.push(`${rounds} with the sidecar lost connections`);
  return found;
}
