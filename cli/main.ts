/** Parses the command line and runs one command; returns the exit code. */
import yargs, { type Argv, type CommandModule } from "yargs";
import { UsageError } from "../loader/errors.ts";
import type { Env } from "./env.ts";
import { nearest } from "./options/suggest.ts";
import { EXIT, exitCode } from "./process/exit.ts";
import { version } from "./version.ts";

export const NAME = "reuseport-migrate";
const WIDTH = 100;

/** yargs' sentences for wrong usage, in our words. */
const STRINGS = {
  "Not enough arguments following: %s": "--%s requires a value",
  "Invalid values:": " ", // an empty text would mean the default
  "Argument: %s, Given: %s, Choices: %s": "--%s cannot be %s: write one of %s",
  "Did you mean %s?": "unknown command: did you mean '%s'?",
};

type ExitWith = (code: number) => void;
/** Adds a command to the parser. */
export type AddCommand = (parser: Argv, env: Env, exitWith: ExitWith) => Argv;

function lazily<A>(
  load: () => Promise<(env: Env, exitWith: ExitWith) => CommandModule<object, A>>,
): () => Promise<AddCommand> {
  return async () => {
    const command = await load();
    return (parser, env, exitWith) => parser.command(command(env, exitWith));
  };
}

/** Commands by name. Loading them all takes longer than most of them run. */
export const COMMANDS: ReadonlyMap<string, () => Promise<AddCommand>> = new Map([
  ["attach", lazily(async () => (await import("./attach/command.ts")).attachCommand)],
  ["exec", lazily(async () => (await import("./exec/command.ts")).execCommand)],
  ["run", lazily(async () => (await import("./run/command.ts")).runCommand)],
  ["status", lazily(async () => (await import("./status/command.ts")).statusCommand)],
  ["check", lazily(async () => (await import("./commands/check.ts")).checkCommand)],
  ["detach", lazily(async () => (await import("./commands/detach.ts")).detachCommand)],
  ["policy", lazily(async () => (await import("./commands/policy.ts")).policyCommand)],
  ["drain", lazily(async () => (await import("./commands/drain.ts")).drainCommand)],
  ["undrain", lazily(async () => (await import("./commands/drain.ts")).undrainCommand)],
  ["release", lazily(async () => (await import("./commands/release.ts")).releaseCommand)],
  ["metrics", lazily(async () => (await import("./commands/metrics.ts")).metricsCommand)],
  ["store", lazily(async () => (await import("./store/command.ts")).storeCommand)],
]);

/** Name and description of the command that yargs adds. */
export const COMPLETION = [
  "completion",
  "Print a bash completion script: source it, or put it in /etc/bash_completion.d",
] as const;

/** Returns the named command; all of them for help, completion and a misspelled name. */
async function commandsFor([name = ""]: readonly string[]): Promise<AddCommand[]> {
  const one = COMMANDS.get(name);
  return Promise.all((one ? [one] : [...COMMANDS.values()]).map((load) => load()));
}

async function parserOf(env: Env, argv: readonly string[], exitWith: ExitWith): Promise<Argv> {
  const codes = EXIT.map(({ code, meaning }) => `  ${code}  ${meaning}`).join("\n");
  // After `--`, these take the command line of another program.
  const runner = argv[0] === "store" ? argv[1] : argv[0];
  const config = { "populate--": ["exec", "run", "take"].includes(runner ?? "") };
  const empty = yargs()
    .scriptName(NAME)
    .usage(
      "$0 <command>\n\nRestart any SO_REUSEPORT TCP server without refusing or resetting a connection.",
    )
    .parserConfiguration(config);
  const commands = await commandsFor(argv);
  const parser = commands
    .reduce((all, add) => add(all, env, exitWith), empty)
    .completion(...COMPLETION)
    .epilogue(`Exit codes:\n${codes}`)
    .demandCommand(1, "name a command")
    .recommendCommands()
    .strict()
    .updateStrings(STRINGS)
    .version(version())
    .help()
    .wrap(WIDTH)
    .exitProcess(false)
    .fail((message, error) => {
      if (error && error.name !== "YError") throw error;
      const { key } = (parser as unknown as Internals).getOptions();
      const options = Object.keys(key).filter((name) => !NOT_MEANT.includes(name));
      throw new UsageError(sentence(message ?? error?.message ?? "wrong usage", argv, options));
    });
  skipHelpCache(parser);
  return parser;
}

/** Positionals, and options that are not misspelled for others. */
const NOT_MEANT = ["spec", "fd", "help", "version"];

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
    if (argv[0] !== "store") return "a SPEC is missing";
    return argv[1] === "put" ? "a file descriptor is missing" : "a name is missing";
  }
  const [, missing] = /^Missing required arguments?: (.+)$/.exec(message) ?? [];
  if (missing !== undefined) {
    const names = missing.split(", ").map((name) => `--${name}`);
    return `${names.join(" and ")} ${names.length === 1 ? "is" : "are"} missing`;
  }
  const [, unknown] = /^Unknown arguments?: ([^,]+)/.exec(message) ?? [];
  if (unknown === undefined) return message.trim().replaceAll(/\s*\n\s*/g, " ");
  const option = `--${unknown}`;
  if (!argv.some((arg) => arg === option || arg.startsWith(`${option}=`))) {
    return `unknown argument '${unknown}'`;
  }
  const best = nearest(unknown, options);
  return `unknown option ${option}${best ? `: did you mean --${best}?` : ""}`;
}

/** Runs the command line `argv` (without node and script); returns the exit code. Never throws. */
export async function main(env: Env, argv: readonly string[]): Promise<number> {
  try {
    let output = "";
    let code = 0;
    const exitWith = (value: number) => {
      code = value;
    };
    const parser = await parserOf(env, argv, exitWith);
    await parser.parseAsync([...argv], {}, (_error, _argv, text) => {
      output = text;
    });
    if (output) env.stdout.write(`${output}\n`);
    return code;
  } catch (error) {
    env.stderr.write(`${NAME}: ${describe(error, env)}\n`);
    if (error instanceof UsageError) env.stderr.write(`Try '${helpFor(argv)}'.\n`);
    return exitCode(error);
  }
}

/** Returns the command line that explains a wrong one. */
function helpFor([name = "", verb = ""]: readonly string[]): string {
  if (!COMMANDS.has(name)) return `${NAME} --help`;
  const isVerb = name === "store" && ["put", "take", "list", "drop", "exec"].includes(verb);
  return `${NAME} ${name} ${isVerb ? `${verb} ` : ""}--help`;
}

/**
 * Describes an error in one sentence; with REUSEPORT_MIGRATE_DEBUG also its stack, log and cause.
 */
function describe(error: unknown, env: Env): string {
  if (!(error instanceof Error)) return String(error);
  if (!env.vars["REUSEPORT_MIGRATE_DEBUG"]) return error.message;
  const log = "log" in error ? `\n${error.log}` : "";
  const cause = error.cause instanceof Error ? `\ncaused by ${error.cause.stack}` : "";
  return `${error.stack}${log}${cause}`;
}
