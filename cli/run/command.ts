/** run: runs a command that reloads a server, and counts lost connections. */
import type { CommandModule } from "yargs";
import { matchesSpec, type Spec } from "../../loader/core/spec.ts";
import { NoMatchError } from "../../loader/errors.ts";
import { message } from "../../loader/log.ts";
import type { StatusReader } from "../../loader/operate/status_reader.ts";
import { Owned } from "../../loader/owned.ts";
import type { Env } from "../env.ts";
import { widthOf } from "../output/columns.ts";
import { journalLine } from "../output/log.ts";
import { type Ending, exitCodeOf } from "../process/child.ts";
import { TOO_MANY_LOST } from "../process/exit.ts";
import { requireCommand } from "../process/spec_command.ts";
import { runToEnd } from "./child_command.ts";
import { Meter } from "./meter.ts";
import { type RunArguments, type RunRequest, runOptions, runRequest } from "./options.ts";
import { RECORD_MS, Recording } from "./recording.ts";
import { outcomeJson, outcomeText } from "./report.ts";
import { SETTLE_POLL_MS, settle } from "./settle.ts";
import { runVerdict } from "./verdict.ts";

/** Runs the command and prints the verdict; returns the exit code. */
async function run(env: Env, request: RunRequest): Promise<number> {
  const { command, json, advisory } = request;
  requireCommand(command[0], env.vars["PATH"]);
  const { html, timeline, specs } = request;
  const recording = html !== undefined || timeline ? new Recording(html, specs) : null;
  let ending: Ending | null = null;
  try {
    using measuring = await Measuring.begin(request, recording);
    ending = await measuring.during(() => runToEnd(env, command, json));
    recording?.commandEnded();
    return await conclude(env, request, measuring, ending);
  } catch (error) {
    if (!advisory) throw error;
    say(env, "warn", `not measured: ${message(error)}`);
    return exitCodeOf(ending ?? (await runToEnd(env, command, json)));
  }
}

/** Waits until the migrations are over, and prints the verdict; returns the exit code. */
async function conclude(
  env: Env,
  { command, maxLost, settleMs, json, advisory, timeline }: RunRequest,
  measuring: Measuring,
  ending: Ending,
): Promise<number> {
  const { meter, read, recording } = measuring;
  const settled = await measuring.during(() => settle(meter, settleMs, env.stop, read));
  const { resetsOnOverflow } = await import("../../loader/net/netns.ts");
  const verdict = runVerdict(meter, (netns) => isTrueOrUnknown(() => resetsOnOverflow(netns)));
  const isTooMany = verdict.lost > maxLost;
  const exitCode = exitCodeOf(ending) || (isTooMany && !advisory ? TOO_MANY_LOST : 0);
  const outcome = { verdict, ending, settled, settleMs, waiting: meter.waiting, maxLost, exitCode };
  if (timeline && recording) say(env, "info", recording.text(widthOf(env)));
  recording?.write(
    `run -- ${command.join(" ")}`,
    outcomeText(outcome),
    exitCode !== 0 || isTooMany,
  );
  if (json) env.stdout.write(`${JSON.stringify(outcomeJson(outcome))}\n`);
  else say(env, isTooMany ? "warn" : "info", outcomeText(outcome));
  return exitCode;
}

/** Writes lines to stderr; the journal gets their priority, too. */
function say({ stderr }: Env, level: "info" | "warn", text: string): void {
  for (const line of text.split("\n")) {
    stderr.write(`${stderr.isJournal ? journalLine(level, line) : line}\n`);
  }
}

/** Readings of status, from before the command on. */
class Measuring implements Disposable {
  readonly meter: Meter;
  readonly recording: Recording | null;
  readonly #reader: StatusReader;

  private constructor(reader: StatusReader, meter: Meter, recording: Recording | null) {
    this.#reader = reader;
    this.meter = meter;
    this.recording = recording;
  }

  /** @throws NoMatchError if a SPEC names no attached group; PermissionError, NotSupportedError */
  static async begin(
    { specs, bpffs, advisory }: RunRequest,
    recording: Recording | null,
  ): Promise<Measuring> {
    const { StatusReader } = await import("../../loader/operate/status_reader.ts");
    using own = new Owned();
    const reader = own.use(new StatusReader({ keepNetns: true, ...bpffs }));
    const measuring = new Measuring(reader, new Meter(specs), recording);
    measuring.read();
    requireAttached(measuring.meter, specs, advisory ? "" : "the command was not run: ");
    return own.release(measuring);
  }

  readonly read = (): void => {
    const status = this.#reader.read();
    this.meter.add(status);
    this.recording?.add(status);
  };

  /** Reads again and again until `run` is over. */
  during<T>(run: () => Promise<T>): Promise<T> {
    const everyMs = this.recording ? RECORD_MS : SETTLE_POLL_MS;
    const watching = setInterval(() => ignoreErrors(this.read), everyMs);
    return run().finally(() => clearInterval(watching));
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]();
  }
}

/** @throws NoMatchError if a SPEC names no attached group: its connections would not be counted */
function requireAttached({ spans }: Meter, specs: readonly Spec[], effect: string): void {
  const without = specs.filter((spec) => !spans.some(({ last }) => matchesSpec(spec, last.key)));
  if (spans.length > 0 && without.length === 0) return;
  const names = without.map(({ text }) => text).join(", ");
  throw new NoMatchError(
    `${effect}nothing is attached${names && ` for ${names}`}; run 'reuseport-migrate attach ${without[0]?.text ?? "SPEC"}' first`,
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
