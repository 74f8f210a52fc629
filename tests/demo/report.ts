/** What the demo prints at the end, and whether it showed what it promised. */
import { connections, KINDS, lost, type Tally } from "../helpers/client.ts";

const STAGES = ["accept_queue", "handshake_ack", "handshake_timer"] as const;

export interface Run {
  readonly reloads: number;
  readonly tally: Tally;
  /** Text of /metrics at the end; empty without the sidecar. */
  readonly metrics: string;
}

/** Decisions of `stage` that kept a connection alive, by any outcome but `dropped`. */
function migrated(metrics: string, stage: string): number {
  return metrics
    .split("\n")
    .filter((line) => line.startsWith("reuseport_migrate_decisions_total{"))
    .filter((line) => line.includes(`stage="${stage}"`) && !line.includes('outcome="dropped"'))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

export function table(without: Run, with_: Run): string {
  const row = (name: string, a: string | number, b: string | number) =>
    `  ${name.padEnd(34)}${String(a).padStart(14)}${String(b).padStart(14)}`;
  // `other` is an error of the client itself: of interest only if there is one.
  const losses = KINDS.filter(
    (kind) => kind !== "ok" && (kind !== "other" || without.tally.other + with_.tally.other > 0),
  );
  return [
    row("", "without", "with sidecar"),
    row("reloads", without.reloads, with_.reloads),
    row("connections", connections(without.tally), connections(with_.tally)),
    row("answered", without.tally.ok, with_.tally.ok),
    ...losses.map((kind) => row(`lost: ${kind}`, without.tally[kind], with_.tally[kind])),
    row("lost", lost(without.tally), lost(with_.tally)),
    ...STAGES.map((stage) => row(`migrated: ${stage}`, "-", migrated(with_.metrics, stage))),
  ].join("\n");
}

/** The product's own samples that are not zero. */
export function samples(metrics: string): string {
  return metrics
    .split("\n")
    .filter((line) => line.startsWith("reuseport_migrate_") && !line.endsWith(" 0"))
    .map((line) => `  ${line.replace(/service="[^"]*",group="[^"]*",?/, "").replace("{}", "")}`)
    .join("\n");
}

/** One sentence if the runs did not show what they should. */
export function failure(without: Run, with_: Run): string | undefined {
  if (lost(without.tally) === 0) return "nothing was lost without the sidecar: nothing to show";
  if (lost(with_.tally) > 0) return "connections were lost with the sidecar";
  return undefined;
}
