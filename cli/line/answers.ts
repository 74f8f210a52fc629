/** What the command line answers without a parser: help, versions, and a word that is no command. */
import { version as build, release } from "node:os";
import { ABI_VERSION } from "../../loader/core/abi.ts";
import { UsageError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";
import { commandHelp, programHelp } from "../help/help_text.ts";
import { nearest } from "../options/suggest.ts";
import { painter } from "../output/colour.ts";
import { widthOf } from "../output/columns.ts";
import { EXIT } from "../process/exit.ts";
import { version } from "../version.ts";
import { ANSWERED, COMMANDS, NAME, page, pages } from "./command_list.ts";

const ABOUT = "Restart any SO_REUSEPORT TCP server without refusing or resetting a connection.";

const WORDS = [...COMMANDS.keys(), ...ANSWERED.map(([word]) => word)];

/**
 * Returns the text that a command line asks for, or null if it is for the parser.
 * @throws UsageError if its first word is no command
 */
export async function answerTo(env: Env, argv: readonly string[]): Promise<string | null> {
  const end = argv.indexOf("--");
  const words = end < 0 ? argv : argv.slice(0, end);
  const [first = ""] = words;
  const isAsked = (...names: readonly string[]) => words.some((word) => names.includes(word));
  if (first === "help" || isAsked("--help", "-h")) {
    return await help(env, first === "help" ? words.slice(1) : words);
  }
  if (first === "version" || isAsked("--version", "-V")) return await versions();
  if (first !== "" && !first.startsWith("-")) requireCommand(first);
  return null;
}

/** @throws UsageError */
function requireCommand(word: string): void {
  if (WORDS.includes(word)) return;
  const best = nearest(word, WORDS);
  throw new UsageError(`unknown command '${word}'${best ? `: did you mean '${best}'?` : ""}`);
}

/** @throws UsageError */
async function help(env: Env, words: readonly string[]): Promise<string> {
  const width = widthOf(env);
  const paint = painter("help", env.stdout, env.vars);
  const [name = "", verb] = words.filter((word) => word !== "-h" && word !== "--help");
  if (name !== "" && !name.startsWith("-")) requireCommand(name);
  if (COMMANDS.has(name)) {
    const command = await page(name);
    const child = command.children.find(({ path }) => path.at(-1) === verb);
    return paint(commandHelp(NAME, child ?? command, width));
  }
  const overview = {
    about: ABOUT,
    pages: await pages(),
    others: ANSWERED,
    exitCodes: EXIT,
  };
  return paint(programHelp(NAME, overview, width));
}

/** Returns the versions that a report of a defect needs. */
async function versions(): Promise<string> {
  const { kernelVersion } = await import("../../loader/check/defects.ts");
  const kernel = kernelVersion(release(), build());
  const exact = release().startsWith(kernel) ? "" : ` (${kernel})`;
  return [
    `${NAME} ${version()}`,
    `ABI of the pins: ${ABI_VERSION}`,
    `kernel: Linux ${release()}${exact}`,
    `libbpf: ${await libbpf()}`,
    `node: ${process.versions.node}`,
  ].join("\n");
}

async function libbpf(): Promise<string> {
  try {
    return (await import("../../loader/bpf/libbpf_version.ts")).libbpfVersion();
  } catch (error) {
    return `none: ${(error as Error).message}`;
  }
}
