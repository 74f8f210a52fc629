/** Draws panels of the dashboard with their data, as SVG: what Grafana shows, without Grafana. */
import type { Series } from "../helpers/product/prometheus.ts";
import { legend, type Panel } from "./dashboard.ts";

/** Pixels of one column and of one row of Grafana's grid. */
const [COLUMN, ROW] = [50, 26];
const STATES: Readonly<Record<string, string>> = {
  green: "#73bf69",
  orange: "#ff9830",
  red: "#f2495c",
};
const COLORS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff"];

/** Points that are further apart are not joined. */
const GAP_SECONDS = 1;

type Span = readonly [start: number, end: number];

interface Curve {
  readonly name: string;
  readonly points: Series["points"];
}

/** @param data of each query */
export function drawn(
  panels: readonly Panel[],
  data: ReadonlyMap<string, readonly Series[]>,
  span: Span,
): string {
  const bottom = Math.max(...panels.map(({ gridPos: { y, h } }) => y + h));
  const [width, height] = [24 * COLUMN, bottom * ROW];
  const parts = panels.map((panel) => {
    const { x, y, w, h } = panel.gridPos;
    const curves = (panel.targets ?? []).flatMap(({ expr, legendFormat }) =>
      (data.get(expr) ?? []).map(({ metric, points }) => ({
        name: legend(legendFormat, metric),
        points: points.filter(([, value]) => Number.isFinite(value)),
      })),
    );
    const size = [w * COLUMN - 8, h * ROW - 8] as const;
    const body = bodyOf(panel, curves, span, size);
    return `<g transform="translate(${x * COLUMN + 4} ${y * ROW + 4})">${body}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11" fill="#ccccdc">
<rect width="${width}" height="${height}" fill="#111217"/>
${parts.join("\n")}
</svg>
`;
}

type Size = readonly [width: number, height: number];

function bodyOf(panel: Panel, curves: readonly Curve[], span: Span, size: Size): string {
  if (panel.type === "row") return text(0, 12, panel.title, 'font-weight="bold" font-size="13"');
  const [width, height] = size;
  const frame = `<rect width="${width}" height="${height}" fill="#181b1f" stroke="#2c3235"/>`;
  const title = text(8, 16, panel.title, 'font-weight="bold"');
  const body =
    panel.type === "stat" ? numbers(panel, curves, size) : chart(panel, curves, span, size);
  return frame + title + body;
}

/** The last value of each curve. */
function numbers(panel: Panel, curves: readonly Curve[], [width, height]: Size): string {
  const steps = panel.fieldConfig?.defaults.thresholds?.steps ?? [];
  return curves
    .map(({ name, points }, i) => {
      const value = Math.round(points.at(-1)?.[1] ?? 0);
      const x = ((i + 0.5) * width) / curves.length;
      const reached = steps.findLast((step) => step.value === null || value >= step.value);
      const fill = STATES[reached?.color ?? "green"] ?? "";
      const style = `text-anchor="middle" font-size="28" fill="${fill}"`;
      const below = name ? text(x, height - 8, name, 'text-anchor="middle"') : "";
      return text(x, height / 2 + 16, String(value), style) + below;
    })
    .join("");
}

function chart(panel: Panel, curves: readonly Curve[], span: Span, [width, height]: Size): string {
  // A limit that is far above everything else would flatten the rest.
  const shown = curves.filter(({ name }) => !/limit$/.test(name));
  const [left, right, top, foot] = [44, width - 8, 28, height - 38];
  const most = Math.max(0, ...shown.flatMap(({ points }) => points.map(([, value]) => value))) || 1;
  const at = ([seconds, value]: readonly [number, number]) => {
    const x = left + ((seconds - span[0]) / (span[1] - span[0])) * (right - left);
    return `${x.toFixed(1)},${(foot - (value / most) * (foot - top)).toFixed(1)}`;
  };
  const unit = panel.fieldConfig?.defaults.unit ?? "";
  const grid = [0, 0.5, 1].map((part) => {
    const y = foot - part * (foot - top);
    const line = `<path d="M${left} ${y}H${right}" stroke="#2c3235"/>`;
    return line + text(left - 6, y + 4, amount(part * most, unit), 'text-anchor="end"');
  });
  const lines = shown.flatMap(({ points }, i) =>
    pieces(points).map(
      (piece) =>
        `<polyline points="${piece.map(at).join(" ")}" fill="none" stroke="${color(i)}" stroke-width="1.5"/>`,
    ),
  );
  let x = 8;
  const keys = shown.flatMap(({ name }, i) => {
    const from = x;
    x += name.length * 6 + 28;
    const line = `<path d="M${from} ${height - 12}h12" stroke="${color(i)}" stroke-width="3"/>`;
    return x > width ? [] : [line + text(from + 16, height - 8, name)];
  });
  const duration = text(
    right,
    foot + 14,
    `${Math.round(span[1] - span[0])} s`,
    'text-anchor="end"',
  );
  return grid.join("") + lines.join("") + keys.join("") + duration;
}

/** Returns the parts of a curve between which it had no value. */
function pieces(points: Curve["points"]): Curve["points"][] {
  const found: (readonly [number, number])[][] = [];
  let before = Number.NEGATIVE_INFINITY;
  for (const point of points) {
    if (point[0] - before > GAP_SECONDS) found.push([]);
    found.at(-1)?.push(point);
    before = point[0];
  }
  return found;
}

const color = (i: number) => COLORS[i % COLORS.length] ?? "#fff";

function amount(value: number, unit: string): string {
  if (unit === "bytes") return `${Math.round(value / 1e6)} MB`;
  const rounded = value >= 10 ? String(Math.round(value)) : value.toPrecision(2);
  if (unit === "percentunit") return `${(value * 100).toFixed(1)} %`;
  return unit === "cps" ? `${rounded}/s` : unit === "s" ? `${rounded} s` : rounded;
}

function text(x: number, y: number, content: string, style = ""): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x}" y="${y}" ${style}>${escaped}</text>`;
}
