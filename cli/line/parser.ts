/** The parser of the command line; wrong usage is said in our words. */
import yargs, { type Argv } from "yargs";
import { UsageError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";
import { nearest } from "../options/suggest.ts";
import { type AddCommand, COMMANDS, type ExitWith, NAME, page } from "./command_list.ts";

/** yargs' sentences for wrong usage, in our words. */
const STRINGS = {
  "Not enough arguments following: %s": "--%s requires a value",
  "Invalid values:": " ", // an empty text would mean the default
  "Argument: %s, Given: %s, Choices: %s": "--%s: %s; %s",
};

/** Returns the named command; all of them for a misspelled name. */
async function commandsFor([name = ""]: readonly string[]): Promise<AddCommand[]> {
  const one = COMMANDS.get(name);
  return Promise.all((one ? [one] : [...COMMANDS.values()]).map((load) => load()));
}

/** @throws UsageError */
export async function parserOf(
  env: Env,
  argv: readonly string[],
  exitWith: ExitWith,
): Promise<Argv> {
  refuseCommand(argv);
  await refuseFlagValues(argv);
  const config = { "populate--": runsCommand(argv), "boolean-negation": false };
  const empty = yargs().scriptName(NAME).locale("en").parserConfiguration(config);
  const commands = await commandsFor(argv);
  const parser = commands
    .reduce((all, add) => add(all, env, exitWith), empty)
    .demandCommand(1, "name a command")
    .strict()
    .updateStrings(STRINGS)
    .exitProcess(false)
    .fail((message, error) => {
      if (error && error.name !== "YError") throw error;
      const { key } = (parser as unknown as Internals).getOptions();
      const options = Object.keys(key).filter((name) => !POSITIONALS.includes(name));
      throw new UsageError(sentence(message ?? error?.message ?? "wrong usage", argv, options));
    });
  skipHelpCache(parser);
  return parser;
}

/** Whether what follows `--` is the command line of another program. */
function runsCommand([name, verb]: readonly string[]): boolean {
  return ["exec", "run", "take"].includes((name === "store" ? verb : name) ?? "");
}

/** @throws UsageError if `--` is followed by a command, which would be ignored */
function refuseCommand(argv: readonly string[]): void {
  const [name = "", verb = ""] = argv;
  if (!COMMANDS.has(name) || !argv.includes("--") || runsCommand(argv)) return;
  const which = name === "store" ? `${name} ${verb}` : name;
  throw new UsageError(`${which} runs no command after '--': did you mean 'exec' or 'run'?`);
}

/** @throws UsageError if an option that has no value is given one: yargs would guess */
async function refuseFlagValues(argv: readonly string[]): Promise<void> {
  const [name = "", verb = ""] = argv;
  const end = argv.indexOf("--");
  const given = (end < 0 ? argv : argv.slice(0, end)).flatMap((arg) => {
    const [, option, value = ""] = /^--([a-z-]+)=(.*)$/s.exec(arg) ?? [];
    return option === undefined || /^(?:true|false)$/.test(value) ? [] : [{ arg, option }];
  });
  if (given.length === 0 || !COMMANDS.has(name)) return;
  const command = await page(name);
  const { options } = command.children.find(({ path }) => path.at(-1) === verb) ?? command;
  const flags = options.filter(({ options: it }) => it.type === "boolean");
  for (const { arg, option } of given) {
    if (!flags.some((flag) => flag.name === option)) continue;
    throw new UsageError(`--${option} is on or absent: write --${option}, not ${arg}`);
  }
}

/** Keys of the parser that are no options. */
const POSITIONALS = ["spec", "fd", "name.."];

/** yargs renders the help of a command eagerly when it runs: half of its start-up time. */
function skipHelpCache(parser: Argv): void {
  const usage = (parser as unknown as Internals).getInternalMethods().getUsageInstance();
  usage.cacheHelpMessage = () => {};
}

/** Parts of yargs that its types lack. */
interface Internals {
  getInternalMethods(): { getUsageInstance(): { cacheHelpMessage(): void } };
  /** `key`: the options of the command that is parsed, by name. */
  getOptions(): { readonly key: Readonly<Record<string, unknown>> };
}

/** Rewrites a usage error of yargs in one line; suggests one of `options` for an unknown one. */
function sentence(message: string, argv: readonly string[], options: readonly string[]): string {
  if (message.startsWith("Not enough non-option arguments")) {
    if (argv[0] === "completion") return "name a shell: bash, zsh or fish";
    if (argv[0] !== "store") return "a SPEC is missing";
    return argv[1] === "put" ? "a file descriptor is missing" : "a name is missing";
  }
  const [, missing] = /^Missing required arguments?: (.+)$/.exec(message) ?? [];
  if (missing !== undefined) {
    const names = missing.split(", ").map((name) => `--${name}`);
    return `${names.join(" and ")} ${names.length === 1 ? "is" : "are"} missing`;
  }
  const [, option, given, choices] = /^\s*--(\S+): "(.*)"; ("[^;]*")$/s.exec(message) ?? [];
  if (given !== undefined && choices !== undefined) {
    const known = choices.split(", ").map((choice) => choice.slice(1, -1));
    const best = nearest(given, known);
    const hint = best ? `: did you mean '${best}'?` : "";
    return `--${option} must be ${known.join(" or ")}, not '${given}'${hint}`;
  }
  const [, unknown] = /^Unknown arguments?: ([^,]+)/.exec(message) ?? [];
  if (unknown === undefined) return message.trim().replaceAll(/\s*\n\s*/g, " ");
  return unknownText(unknown, argv, options);
}

/** @param unknown as yargs names it: without dashes, if it is an option */
function unknownText(unknown: string, argv: readonly string[], options: readonly string[]): string {
  const written = argv.find((arg) => {
    const [word = ""] = arg.split("=");
    return word === `--${unknown}` || (unknown.length === 1 && /^-[a-zA-Z]/.test(word));
  });
  if (written === undefined) return `unknown argument '${unknown}'`;
  const [word = ""] = written.split("=");
  const best = word.startsWith("--") ? nearest(unknown, options) : undefined;
  return `unknown option ${word}${best ? `: did you mean --${best}?` : ""}`;
}
