/** Answers the command line, or parses it and runs one command; returns the exit code. */
import { AbsentError, UsageError } from "../loader/errors.ts";
import { reportOtherHangs } from "../loader/lender/hangs.ts";
import { printable } from "../loader/printable.ts";
import type { Env } from "./env.ts";
import { answerTo } from "./line/answers.ts";
import { COMMANDS, NAME, page } from "./line/command_list.ts";
import { painter } from "./output/colour.ts";
import { journalLine } from "./output/log.ts";
import { exitCode } from "./process/exit.ts";

/** Runs the command line `argv` (without node and script); returns the exit code. Never throws. */
export async function main(env: Env, argv: readonly string[]): Promise<number> {
  reportOtherHangs(({ text }) => env.stderr.write(`warning: ${text}\n`));
  try {
    return await answerOrRun(env, argv);
  } catch (error) {
    // Some errors have several lines; what they quote has none of its own.
    const lines = describe(error, env).split("\n").map(printable);
    const paint = painter("error", env.stderr, env.vars);
    for (const line of lines) {
      const text = paint(`${NAME}: ${line}`);
      env.stderr.write(`${env.stderr.isJournal ? journalLine("error", text) : text}\n`);
    }
    if (error instanceof UsageError && !(error instanceof AbsentError)) {
      env.stderr.write(`Try '${await helpFor(argv)}'.\n`);
    }
    return exitCode(error);
  }
}

async function answerOrRun(env: Env, argv: readonly string[]): Promise<number> {
  const answer = await answerTo(env, argv);
  if (answer !== null) {
    env.stdout.write(`${answer}\n`);
    return 0;
  }
  let output = "";
  let code = 0;
  const { parserOf } = await import("./line/parser.ts");
  const parser = await parserOf(env, argv, (value) => {
    code = value;
  });
  await parser.parseAsync([...argv], {}, (_error, _argv, text) => {
    output = text;
  });
  if (output) env.stdout.write(`${output}\n`);
  return code;
}

/** Returns the command line that explains a wrong one. */
async function helpFor([name = "", verb = ""]: readonly string[]): Promise<string> {
  if (!COMMANDS.has(name)) return `${NAME} --help`;
  const hasVerb = (await page(name)).children.some(({ path }) => path.at(-1) === verb);
  return [NAME, name, ...(hasVerb ? [verb] : []), "--help"].join(" ");
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
