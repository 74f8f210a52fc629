/** Sentences about connections that migrated, for the log. Pure. */
import type { Moves, Place } from "./group_news.ts";

/** Most pids that a sentence names. */
const NAMED = 3;

/**
 * Returns `5 waiting connections moved from pid 4711 to pid 4712 (generation 2)`, and what became
 * of those that moved to no target.
 * @param migrate the policy that dropped them
 */
export function movesText(moves: Moves, migrate: string): string {
  const { byKernel, dropped } = moves;
  const from = placesText(moves.from, moves.fromStandby);
  const into = placesText(moves.into, moves.intoStandby) + generationText(moves.into);
  const parts = [
    ...(moves.queued > 0 ? [counted(moves.queued, "waiting connection")] : []),
    ...(moves.handshakes > 0 ? [counted(moves.handshakes, "handshake")] : []),
  ];
  const of = (count: number) => `${counted(count, "connection")}${from && ` of ${from}`}`;
  const lines: string[] = [];
  if (parts.length > 0) {
    lines.push(`${parts.join(" and ")} moved${from && ` from ${from}`} to ${into}`);
  }
  if (byKernel > 0) lines.push(`left to the kernel's hash: ${of(byKernel)}`);
  if (dropped > 0) lines.push(`dropped by policy (migrate ${migrate}): ${of(dropped)}`);
  return lines.join("; ");
}

const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** `pid 4711`, `pids 4711, 4712, 4713 and 2 more`, `the standby`. */
function placesText(places: readonly Place[], standby: boolean): string {
  const pids = [...new Set(places.map(({ pid }) => pid ?? "?"))];
  const more = pids.length > NAMED ? ` and ${pids.length - NAMED} more` : "";
  const named = pids.slice(0, NAMED).join(", ");
  const processes = pids.length > 0 ? [`pid${pids.length === 1 ? "" : "s"} ${named}${more}`] : [];
  return [...processes, ...(standby ? ["the standby"] : [])].join(" and ");
}

/** ` (generation 2)`; nothing if there are several. */
function generationText(places: readonly Place[]): string {
  const generations = [...new Set(places.map(({ generation }) => generation))];
  return generations.length === 1 ? ` (generation ${generations[0]})` : "";
}
