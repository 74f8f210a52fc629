/** Parses the command line and runs one command; returns the exit code. */
import yargs from "yargs";
import { UsageError } from "../loader/errors.ts";
import { attachCommand } from "./commands/attach.ts";
import { checkCommand } from "./commands/check.ts";
import { detachCommand } from "./commands/detach.ts";
import { drainCommand, undrainCommand } from "./commands/drain.ts";
import { execCommand } from "./commands/exec.ts";
import { metricsCommand } from "./commands/metrics.ts";
import { policyCommand } from "./commands/policy.ts";
import { releaseCommand } from "./commands/release.ts";
import { runCommand } from "./commands/run.ts";
import { statusCommand } from "./commands/status.ts";
import { storeCommand } from "./commands/store.ts";
import type { Env } from "./env.ts";
import { EXIT, exitCode } from "./exit.ts";
import { version } from "./version.ts";

const NAME = "reuseport-migrate";
const WIDTH = 100;

function parser(env: Env, argv: readonly string[], exitWith: (code: number) => void) {
  const codes = EXIT.map(({ code, meaning }) => `  ${code}  ${meaning}`).join("\n");
  // What follows `--` is another program's command line.
  const runner = argv[0] === "store" ? argv[1] : argv[0];
  const config = { "populate--": ["exec", "run", "take"].includes(runner ?? "") };
  return yargs()
    .scriptName(NAME)
    .usage(
      "$0 <command>\n\nRestart any SO_REUSEPORT TCP server without refusing or resetting a connection.",
    )
    .parserConfiguration(config)
    .command(attachCommand(env))
    .command(execCommand(env, exitWith))
    .command(runCommand(env, exitWith))
    .command(statusCommand(env))
    .command(checkCommand(env, exitWith))
    .command(detachCommand(env))
    .command(policyCommand(env))
    .command(drainCommand(env, exitWith))
    .command(undrainCommand(env))
    .command(releaseCommand(env))
    .command(metricsCommand(env))
    .command(storeCommand(env, exitWith))
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
    await parser(env, argv, exitWith).parseAsync([...argv], {}, (_error, _argv, text) => {
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
