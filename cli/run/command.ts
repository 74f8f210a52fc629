/** run: runs a command that reloads a server, and counts lost connections. */
import type { CommandModule } from "yargs";
import { matchesSpec, type Spec } from "../../loader/core/spec.ts";
import { NoMatchError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";
import { exitCodeOf } from "../process/child.ts";
import { TOO_MANY_LOST } from "../process/exit.ts";
import { requireCommand } from "../process/spec_command.ts";
import { runToEnd } from "./child_command.ts";
import { Meter } from "./meter.ts";
import { type RunArguments, type RunRequest, runOptions, runRequest } from "./options.ts";
import { outcomeJson, outcomeText } from "./report.ts";
import { SETTLE_POLL_MS, settle } from "./settle.ts";
import { runVerdict } from "./verdict.ts";

/** Runs the command and prints the verdict; returns the exit code. */
async function run(env: Env, request: RunRequest): Promise<number> {
  const { command, specs, maxLost, settleMs, json } = request;
  requireCommand(command[0], env.vars["PATH"]);
  const { StatusReader } = await import("../../loader/operate/status_reader.ts");
  using reader = new StatusReader({ keepNetns: true, ...request.bpffs });
  const meter = new Meter(specs);
  const read = () => meter.add(reader.read());
  read();
  requireAttached(meter, specs);
  const watching = setInterval(() => ignoreErrors(read), SETTLE_POLL_MS);
  const ending = await runToEnd(env, command, json).finally(() => clearInterval(watching));
  const settled = await settle(meter, settleMs, env.stop, read);
  const { resetsOnOverflow } = await import("../../loader/net/netns.ts");
  const verdict = runVerdict(meter, (netns) => isTrueOrUnknown(() => resetsOnOverflow(netns)));
  const code = exitCodeOf(ending) || (verdict.lost > maxLost ? TOO_MANY_LOST : 0);
  const { waiting } = meter;
  const outcome = { verdict, ending, settled, settleMs, waiting, maxLost, exitCode: code };
  if (json) env.stdout.write(`${JSON.stringify(outcomeJson(outcome))}\n`);
  else env.stderr.write(`${outcomeText(outcome)}\n`);
  return code;
}

/** @throws NoMatchError if a SPEC names no attached group: its connections would not be counted */
function requireAttached({ spans }: Meter, specs: readonly Spec[]): void {
  const without = specs.filter((spec) => !spans.some(({ last }) => matchesSpec(spec, last.key)));
  if (spans.length > 0 && without.length === 0) return;
  const names = without.map(({ text }) => text).join(", ");
  throw new NoMatchError(
    `the command was not run: nothing is attached${names && ` for ${names}`}; run 'reuseport-migrate attach ${without[0]?.text ?? "SPEC"}' first`,
  );
}

/**
 * Reads while the command runs: counters are cumulative, so the next reading makes up for this one.
 */
function ignoreErrors(read: () => void): void {
  try {
    read();
  } catch {
    // A lasting error is thrown by the reading after the command.
  }
}

function isTrueOrUnknown(read: () => boolean): boolean {
  try {
    return read();
  } catch {
    return true; // the namespace is gone, or may not be entered
  }
}

/** @param exitWith called with the exit code of the command or of the verdict */
export function runCommand(
  env: Env,
  exitWith: (code: number) => void,
): CommandModule<object, RunArguments> {
  return {
    command: "run [spec..]",
    describe: "Run a command that reloads a server, and count migrated and lost connections",
    builder: runOptions,
    handler: async (args) => exitWith(await run(env, runRequest(args))),
  };
}
