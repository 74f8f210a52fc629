/** Counts what happened to connections while a command ran. Pure. */
import type { Decision } from "../../loader/group/counters.ts";
import type { GroupStatus } from "../../loader/operate/status.ts";
import { decisionsSince } from "../output/decisions.ts";
import { type KernelSpan, type Meter, migratingOf, type Span } from "./meter.ts";

/** Connections that were migrated to the listeners of one generation. */
export interface IntoGeneration {
  readonly generation: number;
  readonly newest: boolean;
  readonly count: number;
}

export interface GroupVerdict {
  readonly group: GroupStatus;
  /** The group was pinned while the command ran. */
  readonly came: boolean;
  /** The group was unpinned: the counts are those of the last reading before. */
  readonly gone: boolean;
  readonly decisions: readonly Decision[];
  readonly dropped: number;
  readonly moved: number;
  /** Destinations. Connections of a listener that closed since are part of `olderOrGone`. */
  readonly into: readonly IntoGeneration[];
  readonly olderOrGone: number;
  readonly byKernel: number;
  /** Connections that the standby holds at the end: neither moved nor lost. */
  readonly held: number;
  /** Connections that a standby held and that were reset: lost. */
  readonly reset: number;
}

export interface NetnsVerdict {
  readonly netns: number;
  /** By the policy, in the measured groups. */
  readonly dropped: number;
  /** Of standbys, in the measured groups. */
  readonly reset: number;
  /** Migrations that failed in the kernel, intended drops included; null: not known. */
  readonly failed: number | null;
  /** Failures that are no loss: final ACKs that found an accept queue full, and are tried again. */
  readonly delayed: number;
  readonly lost: number;
}

export interface RunVerdict {
  readonly groups: readonly GroupVerdict[];
  readonly namespaces: readonly NetnsVerdict[];
  readonly lost: number;
  readonly moved: number;
  readonly held: number;
  readonly delayed: number;
}

/**
 * @param resetsOnOverflow whether a final ACK that finds an accept queue full is reset in this network
 *   namespace
 */
export function runVerdict(
  { spans, kernel }: Pick<Meter, "spans" | "kernel">,
  resetsOnOverflow: (netns: number) => boolean,
): RunVerdict {
  const measured = spans.filter((span) => span.measured);
  const groups = measured.map(groupVerdict);
  const namespaces = [...new Set(measured.map(({ last }) => last.key.netns))].map((netns) => {
    const here = spans.filter(({ last }) => last.key.netns === netns);
    const [ours, others] = [true, false].map((of) => here.filter((it) => it.measured === of));
    const drops = (of: readonly Span[] = []) => sum(of.map((span) => droppedOf(migratingOf(span))));
    const resets = (of: readonly Span[] = []) => sum(of.map(resetOf));
    const counted = kernel.get(netns);
    // The kernel counts by namespace: subtract what other groups lose.
    const failed = counted
      ? Math.max(0, counted.last.failure - counted.first.failure - drops(others) - resets(others))
      : null;
    const [dropped, reset] = [drops(ours), resets(ours)];
    const tries = counted ? triesAtFullQueue(counted, here.flatMap(migratingOf)) : 0;
    const delayed = tries > 0 && !resetsOnOverflow(netns) ? tries : 0;
    const lost = Math.max(dropped + reset, (failed ?? 0) - delayed);
    return { netns, dropped, reset, failed, delayed, lost };
  });
  const delayed = sum(namespaces.map((each) => each.delayed));
  const tries = sum(measured.map((span) => acksOf(migratingOf(span))));
  return {
    groups,
    namespaces,
    lost: sum(namespaces.map(({ lost }) => lost)),
    // Each try of a delayed ACK is a decision; only the last one migrates the connection.
    moved: sum(groups.map(({ moved }) => moved)) - Math.min(delayed, tries),
    held: sum(groups.map(({ held }) => held)),
    delayed,
  };
}

/**
 * Returns the tries of final ACKs that the program let pass, and that failed because an accept
 * queue was full. The kernel counts such a try twice: as a failed migration and as an overflow
 * (tcp_check_req and tcp_v4_syn_recv_sock, net/ipv4). A request that is really lost was either not
 * let pass, or overflowed nothing.
 * @param decisions of every group in the namespace
 */
function triesAtFullQueue(
  { first, last, atFullQueue }: KernelSpan,
  decisions: readonly Decision[],
): number {
  const passed = sum(passedOf(decisions).map(({ count }) => count));
  const failed = passed - (last.success - first.success);
  return Math.max(0, Math.min(atFullQueue, failed, acksOf(decisions)));
}

function passedOf(decisions: readonly Decision[]): Decision[] {
  return decisions.filter(({ outcome }) => outcome !== "dropped");
}

/** Counts final ACKs that the program let pass. */
function acksOf(decisions: readonly Decision[]): number {
  const acks = passedOf(decisions).filter(({ stage }) => stage === "handshake_ack");
  return sum(acks.map(({ count }) => count));
}

function groupVerdict(span: Span): GroupVerdict {
  const { first, last, gone } = span;
  const migrating = migratingOf(span);
  const dropped = droppedOf(migrating);
  const placed = placedIn(last) - (first ? placedIn(first) : 0);
  const standby = receivedBy(last) - (first ? receivedBy(first) : 0);
  const into = intoGenerations(span);
  const decided = sum(migrating.map(({ count }) => count)) - dropped;
  return {
    group: last,
    came: first === null,
    gone,
    decisions: decisionsSince(first, last),
    dropped,
    // A connection in the standby is decided once more when it leaves.
    moved: Math.max(0, decided - standby),
    into,
    olderOrGone: Math.max(0, placed - standby - sum(into.map(({ count }) => count))),
    byKernel: Math.max(0, decided - placed),
    held: gone ? 0 : (last.hold?.connections ?? 0),
    reset: resetOf(span),
  };
}

/** Counts by generation, the newest first; only open listeners. */
function intoGenerations({ first, last }: Span): IntoGeneration[] {
  const before = new Map(first?.listeners.map((l) => [l.cookie, l.migratedInto]));
  const counts = new Map<number, number>();
  for (const { cookie, generation, migratedInto } of last.listeners) {
    const count = migratedInto - (before.get(cookie) ?? 0);
    if (generation === null || count === 0) continue;
    counts.set(generation, (counts.get(generation) ?? 0) + count);
  }
  return [...counts]
    .toSorted(([a], [b]) => b - a)
    .map(([generation, count]) => ({ generation, newest: generation === last.generation, count }));
}

/** Counts the connections that the program ever placed, in the standby too. */
function placedIn({ listeners, closed }: GroupStatus): number {
  return sum([closed.into, ...listeners.map(({ migratedInto }) => migratedInto)]);
}

function receivedBy({ hold }: GroupStatus): number {
  return hold?.received.migrated ?? 0;
}

/** Counts held connections that were reset. */
function resetOf({ first, last }: Span): number {
  return last.holds.connections.reset - (first?.holds.connections.reset ?? 0);
}

function droppedOf(decisions: readonly Decision[]): number {
  const dropped = decisions.filter(({ outcome }) => outcome === "dropped");
  return sum(dropped.map(({ count }) => count));
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
