/** Decisions between two readings of status, and their names. Pure. */
import type { Decision } from "../../loader/group/counters.ts";
import type { GroupStatus } from "../../loader/operate/status.ts";

/**
 * Returns the decisions since `before`, without zeros. Counters live as long as the pins: without
 * an earlier reading, or if the group was pinned anew since, they began at zero.
 */
export function decisionsSince(before: GroupStatus | null, now: GroupStatus): Decision[] {
  const base = before && isSame(before, now) ? before.decisions : [];
  return now.decisions.flatMap((decision) => {
    const then = base.find((other) => nameOf(other) === nameOf(decision))?.count ?? 0;
    const count = decision.count - then;
    return count > 0 ? [{ ...decision, count }] : [];
  });
}

/** Returns whether two readings are of the same pins, whose counters can only grow. */
export function isSame(before: GroupStatus, now: GroupStatus): boolean {
  return before.name === now.name && before.firstProgramId === now.firstProgramId;
}

/** `accept_queue selected`, `handshake_ack fallback (gone)`. */
export function nameOf({ stage, outcome, reason }: Decision): string {
  return `${stage} ${outcome}${reason === undefined ? "" : ` (${reason})`}`;
}

/** The connections that a stage decides about. */
const CONNECTIONS: Readonly<Record<Decision["stage"], string>> = {
  syn: "new",
  accept_queue: "queued",
  handshake_ack: "half-open, ACK",
  handshake_timer: "half-open, timer",
};

/** What became of connections, for people: `["queued", "moved"]`. */
export function decisionWords(decision: Decision): readonly [connections: string, became: string] {
  const { stage, outcome, reason } = decision;
  const because = reason === undefined ? "" : `: ${reason}`;
  const became = {
    selected: isMigrating(decision) ? "moved" : "to a chosen listener",
    kernel: isMigrating(decision) ? "as the kernel decides" : "spread by the kernel",
    dropped: `dropped${reason === undefined ? ", by policy" : `, ${reason}`}`,
    fallback: `left to the kernel${because}`,
  }[outcome];
  return [CONNECTIONS[stage], became];
}

/**
 * Returns whether a decision is about an existing connection, whose listener closes or has closed.
 */
export function isMigrating({ stage }: Decision): boolean {
  return stage !== "syn";
}

/** Returns decisions a second since the last reading; null if there is none. */
export type Rate = (group: GroupStatus, decision: Decision) => number | null;

/** Formats a rate: `0.4`, `312`, or `-` if it is not known. */
export function rateText(rate: number | null): string {
  if (rate === null) return "-";
  return rate >= 10 ? String(Math.round(rate)) : String(Math.round(rate * 10) / 10);
}
