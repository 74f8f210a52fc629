/** A group's timeline as SVG: generations as bands, and a lane for each series that is not 0. Pure. */
import {
  type Band,
  type Bins,
  binsOf,
  COUNTS,
  SERIES,
  type SeriesName,
  type Track,
} from "./timeline.ts";

const WIDTH = 960;
const LEFT = 150;
const LANE = 46;
const BAND = 16;
const PLOT = WIDTH - LEFT - 8;

const TITLES: Readonly<Record<SeriesName, string>> = {
  opened: "new connections",
  queued: "waiting, most",
  halfOpen: "half-open, most",
  migrated: "migrated",
  held: "held, most",
  lost: "lost",
};

const nameOf = ({ generation }: Band) =>
  generation === 0 ? "no slot" : `generation ${generation}`;
const listenersOf = ({ most }: Band) => `${most} listener${most === 1 ? "" : "s"}`;

export interface ChartOptions {
  readonly endMs: number;
  /** When the command ended; null: none was run. */
  readonly commandMs: number | null;
}

/** @returns an `svg` element; of numbers and its own words only */
export function chartOf(bins: Bins, { endMs, commandMs }: ChartOptions): string {
  const { generations, series, binMs } = bins;
  const x = (ms: number) => (LEFT + (PLOT * ms) / endMs).toFixed(1);
  const shown = SERIES.filter((name) => name === "opened" || series[name].some((n) => n > 0));
  const top = 8 + generations.length * (BAND + 3);
  const bands = generations.map((band, i) => {
    const y = 6 + i * (BAND + 3);
    const rects = band.spans.map(([fromMs, toMs]) => {
      const width = Math.max(2, (PLOT * (toMs - fromMs)) / endMs).toFixed(1);
      return `<rect class="band" x="${x(fromMs)}" y="${y}" width="${width}" height="${BAND}" rx="3"/>`;
    });
    return `<text x="0" y="${y + 12}">${nameOf(band)}, ${listenersOf(band)}</text>${rects.join("")}`;
  });
  const lanes = shown.map((name, i) => laneOf(name, series[name], binMs, top + i * LANE, endMs));
  const bottom = top + shown.length * LANE;
  const marker =
    commandMs === null
      ? ""
      : `<path class="marker" d="M${x(commandMs)} 0V${bottom}"/><text class="end" x="${x(commandMs)}" y="${bottom + 26}">the command ended</text>`;
  return `<svg viewBox="0 0 ${WIDTH} ${bottom + 30}" role="img" aria-label="timeline">${bands.join("")}${lanes.join("")}${axisOf(endMs, bottom)}${marker}</svg>`;
}

function laneOf(
  name: SeriesName,
  values: readonly number[],
  binMs: number,
  y: number,
  endMs: number,
): string {
  const most = Math.max(...values);
  const height = LANE - 12;
  const bars = values.flatMap((value, i) => {
    if (value === 0) return [];
    const tall = Math.max(1.5, (height * value) / most);
    const at = LEFT + (PLOT * i * binMs) / endMs;
    const width = Math.max(1, (PLOT * binMs) / endMs - 0.3);
    return `<rect x="${at.toFixed(1)}" y="${(y + height - tall).toFixed(1)}" width="${width.toFixed(1)}" height="${tall.toFixed(1)}"/>`;
  });
  return `<text x="0" y="${y + height / 2}">${TITLES[name]}</text><text class="most" x="0" y="${y + height / 2 + 13}">${shownNumber(most)}${COUNTS.has(name) ? ` in ${binMs} ms` : ""}</text><g class="${name}">${bars.join("")}</g><path class="base" d="M${LEFT} ${y + height}H${WIDTH - 8}"/>`;
}

function axisOf(endMs: number, y: number): string {
  const steps = [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000];
  const step = steps.find((each) => endMs / each <= 10) ?? endMs;
  const ticks = Array.from({ length: Math.floor(endMs / step) + 1 }, (_, i) => i * step);
  return ticks
    .map((ms) => {
      const at = (LEFT + (PLOT * ms) / endMs).toFixed(1);
      return `<text class="tick" x="${at}" y="${y + 10}">${ms / 1_000} s</text>`;
    })
    .join("");
}

/** What is spread over bins may be a part of one. */
const shownNumber = (value: number) =>
  value >= 10 ? Math.round(value) : Math.round(value * 10) / 10;

const BLOCKS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588";

/** Returns a series as one line of blocks; what is not 0 is seen. */
export function sparkline(values: readonly number[]): string {
  const most = Math.max(...values, 1);
  return values.map((value) => BLOCKS[Math.ceil((value / most) * 8)] ?? "").join("");
}

/** Columns of the names, and of the numbers behind a line. */
const NAMES = 18;
const NUMBERS = 14;

/** Returns the timeline of a group for a terminal. @param width columns */
export function chartText(track: Pick<Track, "points">, endMs: number, width: number): string[] {
  const columns = Math.max(10, width - NAMES - NUMBERS);
  const { series, generations } = binsOf(track, endMs, columns);
  const row = (name: string, line: string, text: string) =>
    `  ${name.padEnd(NAMES - 2)}${line.padEnd(columns)}  ${text}`;
  const bands = generations.map((band) => {
    const line = new Array<string>(columns).fill(" ");
    for (const [fromMs, toMs] of band.spans) {
      const from = Math.min(columns - 1, Math.floor((columns * fromMs) / endMs));
      line.fill("\u2500", from, Math.max(from + 1, Math.round((columns * toMs) / endMs)));
    }
    return row(nameOf(band), line.join(""), listenersOf(band));
  });
  const shown = SERIES.filter((name) => series[name].some((n) => n > 0));
  const lanes = shown.map((name) => {
    const values = series[name];
    const total = Math.round(values.reduce((sum, value) => sum + value, 0));
    const text = TITLES[name].endsWith("most") ? Math.max(...values) : total;
    return row(TITLES[name], sparkline(values), String(text));
  });
  return [...bands, ...lanes];
}
