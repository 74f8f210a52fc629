/** Counts what happened to connections while a command ran. Pure. */
import type { Decision } from "../../loader/group/counters.ts";
import type { GroupStatus } from "../../loader/operate/status.ts";
import { decisionsSince } from "../output/decisions.ts";
import { type Meter, migratingOf, type Span } from "./meter.ts";

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
}

export interface NetnsVerdict {
  readonly netns: number;
  /** By the policy, in the measured groups. */
  readonly dropped: number;
  /** Connections that the kernel could not migrate, dropped ones included; null: not known. */
  readonly failed: number | null;
  readonly lost: number;
}

export interface RunVerdict {
  readonly groups: readonly GroupVerdict[];
  readonly namespaces: readonly NetnsVerdict[];
  readonly lost: number;
  readonly moved: number;
  readonly held: number;
}

export function runVerdict({ spans, failures }: Pick<Meter, "spans" | "failures">): RunVerdict {
  const measured = spans.filter((span) => span.measured);
  const groups = measured.map(groupVerdict);
  const namespaces = [...new Set(measured.map(({ last }) => last.key.netns))].map((netns) => {
    const here = spans.filter(({ last }) => last.key.netns === netns);
    const drops = (of: boolean) =>
      sum(here.filter((span) => span.measured === of).map((span) => droppedOf(migratingOf(span))));
    const counted = failures.get(netns);
    // The kernel counts by namespace: subtract what other groups drop on purpose.
    const failed = counted ? Math.max(0, counted.last - counted.first - drops(false)) : null;
    const dropped = drops(true);
    return { netns, dropped, failed, lost: Math.max(dropped, failed ?? 0) };
  });
  return {
    groups,
    namespaces,
    lost: sum(namespaces.map(({ lost }) => lost)),
    moved: sum(groups.map(({ moved }) => moved)),
    held: sum(groups.map(({ held }) => held)),
  };
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

function droppedOf(decisions: readonly Decision[]): number {
  const dropped = decisions.filter(({ outcome }) => outcome === "dropped");
  return sum(dropped.map(({ count }) => count));
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
