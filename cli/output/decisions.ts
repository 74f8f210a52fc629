/** Decisions between two readings of status. Pure. */
import type { Decision } from "../../loader/group/counts.ts";
import type { GroupStatus } from "../../loader/operate/status.ts";

/**
 * What was decided since `before`, zeros left out. Counters live as long as what is pinned: without
 * a reading before, or when another program was pinned since, they began at zero.
 */
export function decisionsSince(before: GroupStatus | null, now: GroupStatus): Decision[] {
  const base = before && isSame(before, now) ? before.decisions : [];
  return now.decisions.flatMap((decision) => {
    const then = base.find((other) => nameOf(other) === nameOf(decision))?.count ?? 0n;
    const count = decision.count - then;
    return count > 0n ? [{ ...decision, count }] : [];
  });
}

/** Whether two readings are of the same pins, whose counters can only grow. */
export function isSame(before: GroupStatus, now: GroupStatus): boolean {
  return before.name === now.name && before.programId === now.programId;
}

/** `accept_queue selected`, `handshake_ack fallback (gone)`. */
export function nameOf({ stage, outcome, reason }: Decision): string {
  return `${stage} ${outcome}${reason === undefined ? "" : ` (${reason})`}`;
}

/** About a connection that existed already: its listener closes, or has closed. */
export function isMigrating({ stage }: Decision): boolean {
  return stage !== "syn";
}
