/** Pages of help: what a command's definition says, for `--help` and docs/COMMANDS.md. */
import type { CommandModule, Options } from "yargs";
import { Recorder } from "./recorder.ts";

/** A positional or an option. */
export interface Entry {
  readonly name: string;
  readonly options: Options;
}

/** The definition of one command. */
export interface Page {
  /** Its words: `["store", "put"]`. */
  readonly path: readonly string[];
  /** `store put FD.. [options]`. */
  readonly usage: string;
  /** Its line in a list of commands. */
  readonly summary: string;
  readonly positionals: readonly Entry[];
  readonly options: readonly Entry[];
  readonly examples: readonly { readonly command: string; readonly text: string }[];
  readonly notes: readonly string[];
  readonly children: readonly Page[];
}

/** Returns the page of a command, with those of its sub-commands as children. */
export function pageOf(module: CommandModule, parents: readonly string[] = []): Page {
  const [syntax = ""] = [module.command ?? ""].flat();
  const [word = "", ...positionals] = syntax.split(" ");
  // `$0` is what the parent does without a sub-command.
  const path = word === "$0" ? parents : [...parents, word];
  const recorder = Recorder.of(module);
  const own = recorder.commands.find(({ command }) => command === "$0");
  const children = recorder.commands
    .filter((command) => command !== own)
    .map((command) => pageOf(command, path));
  const summary = String(module.describe);
  if (own) return { ...pageOf(own, path), summary, children };
  const written = recorder.usageText?.replace("$0 ", "");
  const entries = (all: ReadonlyMap<string, Options>) =>
    [...all].map(([name, options]) => ({ name, options }));
  return {
    path,
    usage: written ?? [...path, ...positionals.map(inCapitals), "[options]"].join(" "),
    summary,
    positionals: entries(recorder.positionals).map(({ name, options }) => ({
      name,
      options: { ...options, demandOption: positionals.some((it) => it.startsWith(`<${name}`)) },
    })),
    options: entries(recorder.optionsByName),
    examples: recorder.examples,
    notes: recorder.notes,
    children,
  };
}

/** `[spec..]` as `[SPEC..]`, `<fd..>` as `FD..`. */
function inCapitals(positional: string): string {
  return positional.replace(/^<(.*)>$/, "$1").toUpperCase();
}
