/** Help as text, as wide as the terminal. Pure. */
import { columns, hanging, wrap } from "../output/columns.ts";
import { OPTION_GROUPS, valueName } from "./option_groups.ts";
import type { Entry, Page } from "./page.ts";

/** Below this number, options are one list. */
const FEW = 7;

/** Returns the help of one command. */
export function commandHelp(program: string, page: Page, width: number): string {
  const { usage, summary, positionals, options, examples, notes, children } = page;
  const text = (line: string) => line.replaceAll("$0", program);
  const blocks = [
    hanging(`Usage: ${program} ${usage}`, width),
    wrap(`${summary}.`, width),
    columns(
      positionals.map(({ name, options: it }) => [
        name.toUpperCase(),
        `${it.describe}${preset(it)}`,
      ]),
      width,
    ),
    listed("Commands", summaries(children), width),
    ...grouped(options).map(([title, group]) => listed(title, group.map(optionRow), width)),
    section(
      "Examples",
      examples.flatMap(({ command, text: what }) => [
        ...wrap(what, width - 4).map((line) => `  # ${line}`),
        ...shell(text(command), width),
      ]),
    ),
    ...notes.map((note) => note.split("\n").flatMap((line) => wrap(text(line), width))),
  ];
  return joined(blocks);
}

/** Help of the program: its commands, and what all of them have in common. */
export interface Overview {
  readonly about: string;
  readonly pages: readonly Page[];
  /** Further commands: name and description. */
  readonly others: readonly (readonly string[])[];
  readonly exitCodes: readonly { readonly code: number; readonly meaning: string }[];
}

/** Returns the help of the whole program. */
export function programHelp(program: string, overview: Overview, width: number): string {
  const { about, pages, others, exitCodes } = overview;
  return joined([
    [`Usage: ${program} COMMAND [options]`],
    wrap(about, width),
    listed("Commands", [...summaries(pages), ...others], width),
    listed(
      "Options of every command",
      [
        ["-h, --help", "show help; the same as 'help COMMAND'"],
        ["-V, --version", "show versions; the same as 'version'"],
      ],
      width,
    ),
    listed(
      "Exit codes",
      exitCodes.map(({ code, meaning }) => [String(code), meaning]),
      width,
    ),
  ]);
}

const summaries = (pages: readonly Page[]): string[][] =>
  pages.map(({ path, summary }) => [path.at(-1) ?? "", summary]);

/** Returns options by their group, in the order of the groups; few options are one list. */
function grouped(options: readonly Entry[]): [title: string, options: readonly Entry[]][] {
  if (options.length < FEW) return [["Options", options]];
  return Object.entries(OPTION_GROUPS).map(([title, group]) => [
    title,
    options.filter(({ name }) => name in group),
  ]);
}

function optionRow({ name, options }: Entry): string[] {
  const value = options.choices ? options.choices.join("|") : valueName(name);
  const needed = options.demandOption === true ? " (required)" : "";
  return [`--${name}${value ? ` ${value}` : ""}`, `${options.describe}${needed}${preset(options)}`];
}

function preset({ default: value, defaultDescription }: Entry["options"]): string {
  const text = defaultDescription ?? value;
  return text === undefined ? "" : ` (default: ${text})`;
}

function listed(
  title: string,
  rows: readonly (readonly string[])[],
  width: number,
): readonly string[] {
  return section(title, columns(rows, width));
}

const section = (title: string, lines: readonly string[]): readonly string[] =>
  lines.length > 0 ? [`${title}:`, ...lines] : [];

/** Returns a command line, continued before an option or a pipe where it is too long. */
function shell(line: string, width: number, indent = "  "): string[] {
  const room = width - indent.length;
  if (line.length <= room) return [indent + line];
  const before = (mark: string) => line.lastIndexOf(mark, room - 2);
  const better = Math.max(before(" -"), before(" |"));
  const cut = better > 0 ? better : before(" ");
  if (cut <= 0) return [indent + line];
  return [`${indent}${line.slice(0, cut)} \\`, ...shell(line.slice(cut + 1), width, "      ")];
}

const joined = (blocks: readonly (readonly string[])[]): string =>
  blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n");
