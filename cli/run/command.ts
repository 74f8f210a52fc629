/** run: a reload with a verdict. */
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
async function run(env: Env, wanted: RunRequest): Promise<number> {
  const { command, specs, maxLost, settleMs, json } = wanted;
  requireCommand(command[0], env.vars["PATH"]);
  const { StatusReader } = await import("../../loader/operate/status_reader.ts");
  using reader = new StatusReader({ keepNetns: true, ...wanted.bpffs });
  const meter = new Meter(specs);
  const look = () => meter.add(reader.read());
  look();
  requireAttached(meter, specs);
  const watching = setInterval(() => quietly(look), SETTLE_POLL_MS);
  const ending = await runToEnd(env, command, json).finally(() => clearInterval(watching));
  const settled = await settle(meter, settleMs, env.stop, look);
  const verdict = runVerdict(meter);
  const code = exitCodeOf(ending) || (verdict.lost > maxLost ? TOO_MANY_LOST : 0);
  const { waiting } = meter;
  const outcome = { verdict, ending, settled, settleMs, waiting, maxLost, exitCode: code };
  if (json) env.stdout.write(`${JSON.stringify(outcomeJson(outcome))}\n`);
  else env.stderr.write(`${outcomeText(outcome)}\n`);
  return code;
}

/** A verdict on what was not measured would be worth nothing. */
function requireAttached({ spans }: Meter, specs: readonly Spec[]): void {
  const without = specs.filter((spec) => !spans.some(({ last }) => matchesSpec(spec, last.key)));
  if (spans.length > 0 && without.length === 0) return;
  const names = without.map(({ text }) => text).join(", ");
  throw new NoMatchError(
    `nothing is attached${names && ` for ${names}`}, so the command was not run: 'reuseport-migrate attach ${without[0]?.text ?? "SPEC"}' comes first`,
  );
}

/** While the command runs: it is not to be left alone because of us, and the next reading tells as much. */
function quietly(look: () => void): void {
  try {
    look();
  } catch {
    // What does not pass is an error after the command's end.
  }
}

/** @param exitWith takes the exit code: the command's, or the verdict's */
export function runCommand(
  env: Env,
  exitWith: (code: number) => void,
): CommandModule<object, RunArguments> {
  return {
    command: "run [spec..]",
    describe:
      "Run a command that reloads a server, and say how many connections were moved or lost",
    builder: runOptions,
    handler: async (args) => exitWith(await run(env, runRequest(args))),
  };
}
