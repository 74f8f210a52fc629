/** Parses the command line and runs one command; returns the exit code. */
import yargs, { type Argv, type CommandModule } from "yargs";
import { UsageError } from "../loader/errors.ts";
import type { Env } from "./env.ts";
import { EXIT, exitCode } from "./process/exit.ts";
import { version } from "./version.ts";

const NAME = "reuseport-migrate";
const WIDTH = 100;

type ExitWith = (code: number) => void;
/** Makes a command known to the parser. */
type Add = (parser: Argv, env: Env, exitWith: ExitWith) => Argv;

function lazily<A>(
  load: () => Promise<(env: Env, exitWith: ExitWith) => CommandModule<object, A>>,
): () => Promise<Add> {
  return async () => {
    const command = await load();
    return (parser, env, exitWith) => parser.command(command(env, exitWith));
  };
}

/** By their first word. Loading them all takes longer than most of them run. */
const COMMANDS: ReadonlyMap<string, () => Promise<Add>> = new Map([
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

/** What the command line names; all of them where that is none: for help, completion and what was misspelled. */
async function commandsFor([name = ""]: readonly string[]): Promise<Add[]> {
  const one = COMMANDS.get(name);
  return Promise.all((one ? [one] : [...COMMANDS.values()]).map((load) => load()));
}

async function parserOf(env: Env, argv: readonly string[], exitWith: ExitWith): Promise<Argv> {
  const codes = EXIT.map(({ code, meaning }) => `  ${code}  ${meaning}`).join("\n");
  // What follows `--` is another program's command line.
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
    .completion(
      "completion",
      "print a bash completion script: source it, or put it in /etc/bash_completion.d",
    )
    .epilogue(`Exit codes:\n${codes}`)
    .demandCommand(1, "name a command")
    .recommendCommands()
    .strict()
    .version(version())
    .help()
    .wrap(WIDTH)
    .exitProcess(false)
    .fail((message, error) => {
      if (error && error.name !== "YError") throw error;
      throw new UsageError(sentence(message ?? error?.message ?? "wrong usage", argv));
    });
  forgoHelp(parser);
  return parser;
}

/** yargs renders the help of each command that it runs, lest somebody ask for it meanwhile: half of its time, for nothing. */
function forgoHelp(parser: Argv): void {
  const usage = (parser as unknown as Internals).getInternalMethods().getUsageInstance();
  usage.cacheHelpMessage = () => {};
}

/** What of yargs has no types. */
interface Internals {
  getInternalMethods(): { getUsageInstance(): { cacheHelpMessage(): void } };
}

/** yargs' words for what a user did, in one line and in ours. */
function sentence(message: string, [command, verb]: readonly string[]): string {
  if (message.startsWith("Not enough non-option arguments")) {
    if (command !== "store") return "a SPEC is missing";
    return verb === "put" ? "a file descriptor is missing" : "a name is missing";
  }
  return message.replaceAll(/\s*\n\s*/g, " ");
}

/** Runs the command line `argv` (without node and script). Never throws. */
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
    if (error instanceof UsageError) env.stderr.write(`Try '${NAME} --help'.\n`);
    return exitCode(error);
  }
}

/** One sentence; everything there is with REUSEPORT_MIGRATE_DEBUG set. */
function describe(error: unknown, env: Env): string {
  if (!(error instanceof Error)) return String(error);
  if (!env.vars["REUSEPORT_MIGRATE_DEBUG"]) return error.message;
  const log = "log" in error ? `\n${error.log}` : "";
  const cause = error.cause instanceof Error ? `\ncaused by ${error.cause.stack}` : "";
  return `${error.stack}${log}${cause}`;
}
