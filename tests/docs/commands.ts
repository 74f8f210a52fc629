/** docs/COMMANDS.md, made from the definitions that --help is made from. */
import type { Options } from "yargs";
import type { Entry, Page } from "../../cli/help/page.ts";
import { NAME, pages } from "../../cli/line/command_list.ts";
import { EXIT } from "../../cli/process/exit.ts";

const WIDTH = 100;

const INTRO = [
  "A SPEC names the address of listeners: `:443` (every address), `192.0.2.7:443`, `[::1]:443`, `:*` (every listener with SO_REUSEPORT). Every command also has `--help` (`-h`) and `--version` (`-V`); an option with a value is written `--option VALUE` or `--option=VALUE`. [Exit codes](#exit-codes) are at the end.",
  "Generated from the source: change a description there, then run `make docs`.",
];

/** Returns the text of docs/COMMANDS.md. */
export async function commandsDoc(): Promise<string> {
  const all = (await pages()).flatMap((page) => [page, ...page.children]);
  const blocks = [
    "# Commands",
    ...INTRO.map((text) => wrap(text)),
    all
      .map((page) => item(`[${title(page)}](#${anchor(title(page))}): ${page.summary}`))
      .join("\n"),
    ...all.flatMap((page) => [`## ${title(page)}`, ...section(page)]),
    "## Exit codes",
    EXIT.map(({ code, meaning }) => item(`\`${code}\`: ${meaning}`)).join("\n"),
  ];
  return `${blocks.filter(Boolean).join("\n\n")}\n`;
}

const title = ({ path }: Page): string => path.join(" ");

function section({ usage, summary, positionals, options, examples, notes }: Page): string[] {
  return [
    wrap(`${summary}.`),
    code([`$0 ${usage}`]),
    list(positionals, (name) => name.toUpperCase()),
    list(options, (name) => `--${name}`),
    code(examples.flatMap(({ command, text }) => [`# ${text}`, command])),
    ...notes.flatMap((note) => note.split("\n").map((line) => wrap(line))),
  ];
}

function list(all: readonly Entry[], nameOf: (name: string) => string): string {
  return all
    .map(({ name, options }) => item(`\`${nameOf(name)}\` (${kind(options)}): ${options.describe}`))
    .join("\n");
}

/** `string, required`, or ``one of `kernel`, `newest`; default `kernel` ``. */
function kind(options: Options): string {
  const { type, array, choices, default: value, defaultDescription } = options;
  const quoted = (words: readonly unknown[]) => words.map((word) => `\`${word}\``).join(", ");
  const preset = defaultDescription ?? value;
  return [
    choices ? `one of ${quoted(choices)}` : `${type}${array ? ", repeatable" : ""}`,
    ...(options.demandOption === true ? ["required"] : []),
    ...(preset === undefined ? [] : [`default ${/ /.test(preset) ? preset : `\`${preset}\``}`]),
  ].join("; ");
}

function code(lines: readonly string[]): string {
  if (lines.length === 0) return "";
  const text = lines.map((line) => continued(line.replaceAll("$0", NAME)));
  return ["```sh", ...text, "```"].join("\n");
}

/** Breaks a command line before an option, if it is too long. */
function continued(line: string): string {
  if (line.length <= WIDTH || line.startsWith("#")) return line;
  const at = line.lastIndexOf(" --", WIDTH - 2);
  return `${line.slice(0, at)} \\\n    ${line.slice(at + 1)}`;
}

function item(text: string): string {
  return `- ${wrap(text, "  ")}`;
}

/** Wraps text; every line after the first begins with `indent`, which the first has room for. */
function wrap(text: string, indent = ""): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line !== "" && indent.length + line.length + 1 + word.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.join(`\n${indent}`);
}

const anchor = (text: string): string => text.replaceAll(" ", "-");
