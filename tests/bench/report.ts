/** Formats answers as a Markdown table, and inserts the table into a document. Pure. */
import type { Figure, Spread, Target } from "./figures.ts";
import type { Answer } from "./question.ts";

/** The content of bench-results.json. */
export interface Report {
  /** ISO 8601. */
  readonly date: string;
  readonly machine: { readonly cpu: string; readonly cpus: number; readonly memoryGb: number };
  readonly kernel: string;
  readonly node: string;
  readonly answers: readonly Answer[];
}

/** Formats a number with three significant digits and grouped thousands. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}

function spreadText({ median, low, high }: Spread, unit = ""): string {
  const suffix = unit && ` ${unit}`;
  const same = number(low) === number(median) && number(high) === number(median);
  return same
    ? `${number(median)}${suffix}`
    : `${number(median)}${suffix} (${number(low)} to ${number(high)})`;
}

export function bound({ atMost, atLeast }: Target, unit = ""): string {
  const parts = [];
  if (atMost !== undefined) parts.push(`at most ${number(atMost)}`);
  if (atLeast !== undefined) parts.push(`at least ${atLeast}`);
  return `${parts.join(", ")}${unit && ` ${unit}`}`;
}

function targetText({ target, unit }: Figure): string {
  if (!target) return "reported";
  return target.of === "ratio" ? `ratio ${bound(target)}` : bound(target, unit);
}

const VERDICT = { true: "pass", false: "**FAIL**", null: "" } as const;

export function verdict({ pass }: Pick<Figure, "pass">): string {
  return VERDICT[`${pass}`];
}

function row(answer: Answer, figure: Figure, isFirst: boolean): string {
  const { label, unit, value, reference, ratio } = figure;
  const what = isFirst ? `${answer.title}${label && `: ${label}`}` : label;
  const cells = [
    isFirst ? String(answer.number) : "",
    what,
    spreadText(value, unit),
    reference ? `${answer.reference}: ${spreadText(reference, unit)}` : "",
    ratio ? spreadText(ratio) : "",
    targetText(figure),
    verdict(figure),
  ];
  return `| ${cells.join(" | ")} |`;
}

/** Formats date, machine and the table. */
export function markdown({ date, machine, kernel, node, answers }: Report): string {
  const { cpu, cpus, memoryGb } = machine;
  const rows = answers.flatMap((answer) =>
    answer.error === null
      ? answer.figures.map((figure, i) => row(answer, figure, i === 0))
      : [`| ${answer.number} | ${answer.title} | not measured | | | | **FAIL** |`],
  );
  return [
    `${date.slice(0, 10)}, Linux ${kernel}, ${cpus} CPUs (${cpu}), ${memoryGb} GiB, Node ${node}. Medians, with the middle half of the rounds in parentheses; a ratio is the median of the ratios of the rounds.`,
    "",
    "| # | question | with us | reference | ratio | target | |",
    "|---|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

const BEGIN = "<!-- bench: written by `make bench` -->";
const END = "<!-- bench: end -->";

/** Returns the document with `text` between its marks. @throws Error if the marks are missing */
export function insert(document: string, text: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`the marks ${BEGIN} and ${END} are missing`);
  return `${document.slice(0, begin + BEGIN.length)}\n\n${text}\n\n${document.slice(end)}`;
}
