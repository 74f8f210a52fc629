/** drain and undrain: a listener gets no new connections, and when it holds none any more. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Argv, CommandModule } from "yargs";
import { UsageError } from "../../loader/errors.ts";
import type { Drained, Selector } from "../../loader/operate/drain.ts";
import type { Env } from "../env.ts";
import { bpffsOf, bpffsOption, duration, integer, once, specs } from "../options/values.ts";

const MAX_U32 = 0xffffffff;
const DAY_MS = 86_400_000;
const DEFAULT_TIMEOUT = "30s";
const POLL_MS = 20;
/** A queue is stuck when nothing was accepted from it for so long. */
const STUCK_MS = 1_000;

interface Choice {
  readonly spec: string[];
  readonly pid: string | undefined;
  readonly listener: string | undefined;
  readonly generation: string | undefined;
  readonly bpffs: string | undefined;
  readonly json: boolean | undefined;
}

interface Arguments extends Choice {
  readonly wait: boolean | undefined;
  readonly timeout: string | undefined;
  readonly force: boolean | undefined;
  readonly stuck: boolean | undefined;
  readonly yes: boolean | undefined;
}

function choice(yargs: Argv): Argv<Choice> {
  const text = { type: "string", requiresArg: true } as const;
  return yargs
    .positional("spec", {
      type: "string",
      array: true,
      demandOption: true,
      describe: "groups in which to look, as for attach",
    })
    .option("pid", { ...text, describe: "the listeners that this process holds" })
    .option("listener", { ...text, describe: "the listener with this socket cookie" })
    .option("generation", { ...text, describe: "the listeners of this generation" })
    .option("bpffs", bpffsOption)
    .option("json", { type: "boolean", describe: "print JSON" });
}

function options(yargs: Argv): Argv<Arguments> {
  return choice(yargs)
    .option("wait", {
      type: "boolean",
      describe: "until they hold no handshake and no queued connection; exit 1 if they still do",
    })
    .option("timeout", {
      type: "string",
      requiresArg: true,
      describe: `how long --wait waits [default: ${DEFAULT_TIMEOUT}]`,
    })
    .option("force", {
      type: "boolean",
      describe: "also the last target: new connections are then held with --hold, refused without",
    })
    .option("stuck", {
      type: "boolean",
      describe:
        "also empty them: a queue that does not move migrates at once, and its listener listens no more; wants --yes",
    })
    .option("yes", { type: "boolean", describe: "yes, stop those listeners for good" })
    .example("$0 drain :443 --pid 4711 --wait && kill 4711", "nothing is left to migrate")
    .example("$0 drain :443 --generation 3", "before the blue ones stop");
}

function selector(args: Choice): Selector | null {
  const pid = once("pid", args.pid);
  const listener = once("listener", args.listener);
  const generation = once("generation", args.generation);
  const given = [pid, listener, generation].filter((value) => value !== undefined);
  if (given.length > 1)
    throw new UsageError("--pid, --listener and --generation exclude each other");
  if (pid !== undefined) return { pid: integer("pid", pid, 1, MAX_U32) };
  if (generation !== undefined)
    return { generation: integer("generation", generation, 1, MAX_U32) };
  if (listener === undefined) return null;
  if (!/^[0-9]{1,20}$/.test(listener)) {
    throw new UsageError(
      `--listener '${listener}': write a socket cookie, as 'status --json' shows it`,
    );
  }
  return { cookie: BigInt(listener) };
}

function print(env: Env, args: Choice, key: string, listeners: readonly Drained[]): void {
  if (args.json) {
    const plain = listeners.map((one) => ({ ...one, cookie: String(one.cookie) }));
    env.stdout.write(`${JSON.stringify({ [key]: plain })}\n`);
    return;
  }
  for (const { endpoint, slot, generation, pid, queued, halfOpen } of listeners) {
    env.stdout.write(
      `${key} ${endpoint} slot ${slot}, generation ${generation}, pid ${pid ?? "-"}: ${queued} queued, ${halfOpen} half-open\n`,
    );
  }
}

async function run(env: Env, args: Arguments, exitWith: (code: number) => void): Promise<void> {
  const chosen = selector(args);
  const timeout = once("timeout", args.timeout);
  if (chosen === null)
    throw new UsageError("drain wants to know whom: --pid, --listener or --generation");
  if (timeout !== undefined && !args.wait) throw new UsageError("--timeout wants --wait");
  if (args.stuck && !args.yes) {
    throw new UsageError(
      "--stuck stops listeners of a running server for good: confirm with --yes",
    );
  }
  if (args.yes && !args.stuck) throw new UsageError("--yes wants --stuck");
  const timeoutMs = duration("timeout", timeout ?? DEFAULT_TIMEOUT, 0, DAY_MS);
  const { drain, drainedNow, emptyStuck } = await import("../../loader/operate/drain.ts");
  const { Observer } = await import("../../loader/observe/observer.ts");
  const drained = await drain(specs(args.spec), chosen, {
    ...bpffsOf(args.bpffs),
    force: args.force === true,
  });
  using observer = new Observer();
  if (args.stuck) {
    const before = drainedNow(drained, observer);
    await sleep(STUCK_MS);
    const moving = new Map(drainedNow(drained, observer).map((one) => [one.cookie, one.queued]));
    for (const one of before) {
      const stuck = one.queued > 0 && (moving.get(one.cookie) ?? 0) >= one.queued;
      if (stuck) emptyStuck(one, observer);
      else if (!args.json) env.stdout.write(`${one.endpoint} slot ${one.slot} is not stuck\n`);
    }
  }
  const left = () => drainedNow(drained, observer).filter((one) => one.queued + one.halfOpen > 0);
  if (args.wait) {
    const until = Date.now() + timeoutMs;
    while (left().length > 0 && Date.now() < until && !env.stop.aborted) await sleep(POLL_MS);
    const rest = left();
    if (rest.length > 0) {
      print(env, args, "not empty", rest);
      exitWith(1);
      return;
    }
  }
  print(env, args, "drained", drainedNow(drained, observer));
}

export function drainCommand(
  env: Env,
  exitWith: (code: number) => void,
): CommandModule<object, Arguments> {
  return {
    command: "drain <spec..>",
    describe: "Give a listener no new connections, so that closing it moves nothing",
    builder: options,
    handler: (args) => run(env, args, exitWith),
  };
}

export function undrainCommand(env: Env): CommandModule<object, Choice> {
  return {
    command: "undrain <spec..>",
    describe: "Make drained listeners targets again: those named, or all",
    builder: (yargs: Argv) =>
      choice(yargs).example("$0 undrain :443", "every listener that was drained"),
    handler: async (args) => {
      const { undrain } = await import("../../loader/operate/drain.ts");
      const chosen = selector(args);
      print(env, args, "undrained", await undrain(specs(args.spec), chosen, bpffsOf(args.bpffs)));
    },
  };
}
