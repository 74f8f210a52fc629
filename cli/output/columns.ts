/** Text as wide as the terminal. Pure. */
import type { Env } from "../env.ts";

const MIN_WIDTH = 40;
const MAX_WIDTH = 100;
const DEFAULT_WIDTH = 80;
/** The widest left column; a longer name has a line of its own. */
const MAX_LEFT = 22;

/** Returns the width of a text: that of the terminal, within bounds, or 80 if it is not known. */
export function textWidth(columns: string | number | undefined): number {
  const width = Number(columns) || DEFAULT_WIDTH;
  return Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, Math.floor(width)));
}

/** Returns how wide text on stdout may be: as COLUMNS says, or as the terminal is. */
export function widthOf({ vars, stdout }: Pick<Env, "vars" | "stdout">): number {
  return textWidth(vars["COLUMNS"] ?? (stdout.isTTY ? stdout.columns : undefined));
}

/** Returns the lines of a text; a word that is too long has a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** Returns the lines of a text, indented from the second on. */
export function hanging(text: string, width: number, indent = "    "): string[] {
  const [first = "", ...rest] = wrap(text, width);
  if (rest.length === 0) return [first];
  return [first, ...wrap(rest.join(" "), width - indent.length).map((line) => indent + line)];
}

/** Returns rows of a name and a text, which is wrapped beside it; a text may have several lines. */
export function columns(
  rows: readonly (readonly string[])[],
  width: number,
  maxLeft = MAX_LEFT,
): string[] {
  const fitting = rows.map(([name = ""]) => name.length).filter((length) => length <= maxLeft);
  const left = Math.max(4, ...fitting) + 4;
  const indent = " ".repeat(left);
  return rows.flatMap(([name = "", text = ""]) => {
    const lines = text.split("\n").flatMap((line) => wrap(line, width - left));
    const start = `  ${name}`;
    if (start.length > left - 2) return [start, ...lines.map((line) => indent + line)];
    return lines.map((line, i) => (i === 0 ? start.padEnd(left) : indent) + line);
  });
}
