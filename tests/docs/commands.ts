/** docs/COMMANDS.md, made from the definitions that --help is made from. */
import type { Argv, CommandModule, Options } from "yargs";
import { COMMANDS, COMPLETION, NAME } from "../../cli/main.ts";
import { EXIT } from "../../cli/process/exit.ts";
import { Recorder } from "./recorder.ts";

const WIDTH = 100;

const INTRO = [
  "A SPEC names the address of listeners: `:443` (every address), `192.0.2.7:443`, `[::1]:443`. Every command also has `--help` and `--version`; an option with a value is written `--option VALUE` or `--option=VALUE`. [Exit codes](#exit-codes) are at the end.",
  "Generated from the source: change a description there, then run `make docs`.",
];

/** Returns the text of docs/COMMANDS.md. */
export async function commandsDoc(): Promise<string> {
  const all: CommandModule[] = [];
  const recorder = new Recorder();
  // A builder reads nothing of the environment.
  const env = {} as Parameters<Awaited<ReturnType<LoadCommand>>>[1];
  for (const load of COMMANDS.values()) {
    (await load())(recorder as unknown as Argv, env, () => {});
  }
  all.push(...recorder.commands);
  const sections = all.flatMap((command) => section(command, []));
  const [completion, completionText] = COMPLETION;
  const blocks = [
    "# Commands",
    ...INTRO.map((text) => wrap(text)),
    sections
      .map(({ title, summary }) => item(`[${title}](#${anchor(title)}): ${summary}`))
      .join("\n"),
    ...sections.flatMap(({ title, blocks }) => [`## ${title}`, ...blocks]),
    `## ${completion}`,
    wrap(`${completionText}.`),
    code([`${NAME} ${completion}`]),
    "## Exit codes",
    EXIT.map(({ code, meaning }) => item(`\`${code}\`: ${meaning}`)).join("\n"),
  ];
  return `${blocks.filter(Boolean).join("\n\n")}\n`;
}

type LoadCommand = typeof COMMANDS extends ReadonlyMap<string, infer L> ? L : never;

interface Section {
  readonly title: string;
  readonly summary: string;
  readonly blocks: readonly string[];
}

/** Returns the section of a command, and those of its sub-commands. */
function section(module: CommandModule, parents: readonly string[]): Section[] {
  const [syntax = ""] = [module.command ?? ""].flat();
  const [word = "", ...positionals] = syntax.split(" ");
  // `$0` is what the parent does without a sub-command.
  const path = word === "$0" ? parents : [...parents, word];
  const recorder = Recorder.of(module);
  const summary = String(module.describe);
  const own = recorder.commands.find(({ command }) => command === "$0");
  const others = recorder.commands.filter((command) => command !== own);
  const children = others.flatMap((command) => section(command, path));
  const title = path.join(" ");
  if (own) {
    const [parent] = section(own, path);
    return [
      { title, summary, blocks: [wrap(`${summary}.`), ...(parent?.blocks.slice(1) ?? [])] },
      ...children,
    ];
  }
  const [usage] = (
    recorder.usageText ?? `$0 ${[...path, ...positionals].join(" ")} [options]`
  ).split("\n");
  const blocks = [
    wrap(`${summary}.`),
    code([usage ?? ""]),
    list(recorder.positionals, (name) => positionals.find((it) => it.includes(name)) ?? name),
    list(recorder.optionsByName, (name) => `--${name}`),
    code(recorder.examples.flatMap(({ command, text }) => [`# ${text}`, command])),
    ...recorder.notes.flatMap((note) => note.split("\n").map((line) => wrap(line))),
  ];
  return [{ title, summary, blocks }, ...children];
}

function list(all: ReadonlyMap<string, Options>, nameOf: (name: string) => string): string {
  return [...all]
    .map(([key, options]) => {
      const name = nameOf(key);
      const isRequired = options.demandOption === true || name.startsWith("<");
      return item(`\`${name}\` (${kind(options, isRequired)}): ${options.describe}`);
    })
    .join("\n");
}

/** `string, required`, or ``one of `kernel`, `newest`; default `kernel` ``. */
function kind(options: Options, isRequired: boolean): string {
  const { type, array, choices, default: value, defaultDescription } = options;
  const quoted = (words: readonly unknown[]) => words.map((word) => `\`${word}\``).join(", ");
  const preset = defaultDescription ?? value;
  return [
    choices ? `one of ${quoted(choices)}` : `${type}${array ? ", repeatable" : ""}`,
    ...(isRequired ? ["required"] : []),
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

const anchor = (title: string): string => title.replaceAll(" ", "-");
