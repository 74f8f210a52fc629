/** What happened to the connections of groups, by time: readings of status, kept bounded. Pure. */
import type { GroupStatus } from "../../loader/operate/status.ts";
import { isMigrating, isSame } from "../output/decisions.ts";

/** One reading of a group. Counts are since the first one. */
export interface Point {
  /** Since the start of the timeline, ms. */
  readonly ms: number;
  readonly opened: number;
  readonly migrated: number;
  readonly lost: number;
  /** Connections that wait to be accepted, of all listeners; half-open ones; at the standby. */
  readonly queued: number;
  readonly halfOpen: number;
  readonly held: number;
  /** Number of listeners by generation. */
  readonly listeners: ReadonlyMap<number, number>;
}

/** The readings of one life of a group's pins. */
export interface Track {
  readonly first: GroupStatus;
  last: GroupStatus;
  points: Point[];
}

/** Readings that are kept of a group; then each second one is left out, and again. */
const MAX_POINTS = 4_096;

export class Timeline {
  readonly #startMs: number;
  readonly #tracks: Track[] = [];

  /** @param startMs of the clock of {@link add} */
  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  get tracks(): readonly Track[] {
    return this.#tracks;
  }

  add(groups: readonly GroupStatus[], nowMs: number): void {
    for (const group of groups) {
      let track = this.#tracks.find(({ last }) => isSame(last, group));
      if (!track) {
        track = { first: group, last: group, points: [] };
        this.#tracks.push(track);
      }
      track.last = group;
      track.points.push(pointOf(track.first, group, nowMs - this.#startMs));
      if (track.points.length > MAX_POINTS) {
        track.points = track.points.filter((_, i) => i % 2 === 0);
      }
    }
  }
}

function pointOf(first: GroupStatus, group: GroupStatus, ms: number): Point {
  const served = group.listeners.filter(({ role }) => role !== "standby");
  const listeners = new Map<number, number>();
  for (const { generation } of served) {
    listeners.set(generation ?? 0, (listeners.get(generation ?? 0) ?? 0) + 1);
  }
  const since = (of: (group: GroupStatus) => number) => of(group) - of(first);
  const sum = (of: "queueLength" | "halfOpen") => served.reduce((all, it) => all + it[of], 0);
  return {
    ms,
    opened: since(openedOf),
    migrated: since(migratedOf),
    lost: since(lostOf),
    queued: sum("queueLength"),
    halfOpen: sum("halfOpen"),
    held: group.hold?.connections ?? 0,
    listeners,
  };
}

function openedOf({ decisions }: GroupStatus): number {
  const opened = decisions.filter((it) => !isMigrating(it) && it.outcome !== "dropped");
  return opened.reduce((sum, { count }) => sum + count, 0);
}

function migratedOf({ decisions }: GroupStatus): number {
  const migrated = decisions.filter((it) => isMigrating(it) && it.outcome !== "dropped");
  return migrated.reduce((sum, { count }) => sum + count, 0);
}

function lostOf({ decisions, holds }: GroupStatus): number {
  const dropped = decisions.filter((it) => isMigrating(it) && it.outcome === "dropped");
  return dropped.reduce((sum, { count }) => sum + count, holds.connections.reset);
}

/** The series that are drawn: of counts the increase in a bin, of the others the most. */
export const SERIES = ["opened", "queued", "halfOpen", "migrated", "held", "lost"] as const;
export type SeriesName = (typeof SERIES)[number];

/** What is counted; of the others a level is read. */
export const COUNTS: ReadonlySet<SeriesName> = new Set(["opened", "migrated", "lost"]);
const MIN_BIN_MS = 10;

/** The readings of a group in bins of equal length. */
export interface Bins {
  readonly binMs: number;
  /** Half of the readings came at most this long after the one before, ms. */
  readonly readingMs: number;
  readonly series: Readonly<Record<SeriesName, readonly number[]>>;
  readonly generations: readonly Band[];
}

/** The times at which a generation had listeners; 0: those without a slot. */
export interface Band {
  readonly generation: number;
  /** From and to, ms. */
  readonly spans: readonly (readonly [number, number])[];
  /** The most listeners at once. */
  readonly most: number;
}

/** @param most number of bins; each is 10 ms long at least */
export function binsOf({ points }: Pick<Track, "points">, endMs: number, most: number): Bins {
  const binMs = Math.max(MIN_BIN_MS, Math.ceil(endMs / most / MIN_BIN_MS) * MIN_BIN_MS);
  const count = Math.max(1, Math.ceil(endMs / binMs));
  const series = Object.fromEntries(
    SERIES.map((name) => [name, seriesOf(points, name, count, binMs)]),
  ) as Record<SeriesName, number[]>;
  return {
    binMs,
    readingMs: readingMsOf(points),
    series,
    generations: generationsOf(points, endMs),
  };
}

function readingMsOf(points: readonly Point[]): number {
  const gaps = points.slice(1).map(({ ms }, i) => ms - (points[i]?.ms ?? 0));
  return gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 0;
}

/**
 * Readings can be further apart than bins are long: what was counted between two is spread over the
 * bins from one to the other, and a level lasts until the next.
 */
function seriesOf(
  points: readonly Point[],
  name: SeriesName,
  count: number,
  binMs: number,
): number[] {
  const bins = new Array<number>(count).fill(0);
  const binAt = (ms: number) => Math.min(count - 1, Math.max(0, Math.floor(ms / binMs)));
  for (const [i, point] of points.entries()) {
    const before = points[i - 1];
    const last = binAt(point.ms);
    const first = before ? Math.min(last, binAt(before.ms) + 1) : last;
    const more = Math.max(0, point[name] - (before?.[name] ?? 0)) / (last - first + 1);
    for (let bin = first; bin <= last; bin++) {
      const had = bins[bin] ?? 0;
      const level = bin === last ? point[name] : (before?.[name] ?? 0);
      bins[bin] = COUNTS.has(name) ? had + more : Math.max(had, level);
    }
  }
  return bins;
}

function generationsOf(points: readonly Point[], endMs: number): Band[] {
  const bands = new Map<number, { spans: [number, number][]; most: number }>();
  for (const [i, { ms, listeners }] of points.entries()) {
    const untilMs = points[i + 1]?.ms ?? endMs;
    for (const [generation, number] of listeners) {
      const band = bands.get(generation) ?? { spans: [], most: 0 };
      const last = band.spans.at(-1);
      if (last?.[1] === ms) last[1] = untilMs;
      else band.spans.push([ms, untilMs]);
      bands.set(generation, { ...band, most: Math.max(band.most, number) });
    }
  }
  return [...bands]
    .sort(([a], [b]) => a - b)
    .map(([generation, band]) => ({ generation, ...band }));
}
