/** drain and undrain: whether a listener gets new connections. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Argv, CommandModule } from "yargs";
import { UsageError } from "../../loader/errors.ts";
import type { Drained, Selector } from "../../loader/operate/drain.ts";
import type { Env } from "../env.ts";
import { bpffsOf, type PinnedArguments, pinnedOptions } from "../options/pinned.ts";
import { duration, integer, OptionError, once, specs } from "../options/values.ts";

const MAX_U32 = 0xffffffff;
const DAY_MS = 86_400_000;
const DEFAULT_TIMEOUT = "30s";
const POLL_MS = 20;
/** A queue is stuck if no connection was accepted from it for this long. */
const STUCK_MS = 1_000;

interface SelectorArguments extends PinnedArguments {
  readonly pid: string | undefined;
  readonly listener: string | undefined;
  readonly generation: string | undefined;
}

interface Arguments extends SelectorArguments {
  readonly wait: boolean | undefined;
  readonly timeout: string | undefined;
  readonly force: boolean | undefined;
  readonly stuck: boolean | undefined;
  readonly yes: boolean | undefined;
}

function selectorOptions<T>(yargs: Argv<T>): Argv<T & SelectorArguments> {
  const text = { type: "string", requiresArg: true } as const;
  const selector = yargs
    .option("pid", { ...text, describe: "the listeners that this process holds" })
    .option("listener", { ...text, describe: "the listener with this socket cookie" })
    .option("generation", { ...text, describe: "the listeners of this generation" });
  return pinnedOptions(selector, "groups of the listeners");
}

function options(yargs: Argv): Argv<Arguments> {
  return selectorOptions(yargs)
    .option("wait", {
      type: "boolean",
      describe: "wait until no connection is queued or half-open; exit 1 if --timeout passes first",
    })
    .option("timeout", {
      type: "string",
      requiresArg: true,
      defaultDescription: DEFAULT_TIMEOUT,
      describe: "the longest time that --wait waits",
    })
    .option("force", {
      type: "boolean",
      describe:
        "drain even the last target: new connections are then held with --hold, refused without",
    })
    .option("stuck", {
      type: "boolean",
      describe:
        "also empty a stuck queue: its connections migrate at once, and its listener stops listening for good; requires --yes",
    })
    .option("yes", { type: "boolean", describe: "confirm --stuck" })
    .example("$0 drain :443 --pid 4711 --wait && kill 4711", "no connection is left to migrate")
    .example("$0 drain :443 --generation 3", "before the blue servers stop");
}

/** Returns the listeners that are chosen, or null for all. @throws UsageError */
function selector(args: SelectorArguments): Selector | null {
  const pid = once("--pid", args.pid);
  const listener = once("--listener", args.listener);
  const generation = once("--generation", args.generation);
  if ([pid, listener, generation].filter((value) => value !== undefined).length > 1)
    throw new UsageError("--pid, --listener and --generation exclude each other");
  if (pid !== undefined) return { pid: integer("--pid", pid, 1, MAX_U32) };
  if (generation !== undefined)
    return { generation: integer("--generation", generation, 1, MAX_U32) };
  if (listener === undefined) return null;
  if (!/^[0-9]{1,20}$/.test(listener)) {
    throw new OptionError(
      "--listener",
      `'${listener}' is not a socket cookie: see 'reuseport-migrate status --json'`,
    );
  }
  return { cookie: BigInt(listener) };
}

function print(
  env: Env,
  args: SelectorArguments,
  key: string,
  listeners: readonly Drained[],
): void {
  if (args.json) {
    const plain = listeners.map((one) => ({ ...one, cookie: String(one.cookie) }));
    env.stdout.write(`${JSON.stringify({ [key]: plain })}\n`);
    return;
  }
  for (const { endpoint, slot, generation, pids, queued, halfOpen } of listeners) {
    const owners = pids.length === 0 ? "pid -" : `pid ${pids.join(" and ")}`;
    env.stdout.write(
      `${key} ${endpoint} slot ${slot}, generation ${generation}, ${owners}: ${queued} queued, ${halfOpen} half-open\n`,
    );
  }
}

/** Says that a listener chosen by one process is drained for another process, too. */
function warnOfShared(env: Env, chosen: Selector, drained: readonly Drained[]): void {
  if (!("pid" in chosen)) return;
  for (const { endpoint, slot, pids } of drained) {
    const others = pids.filter((pid) => pid !== chosen.pid);
    if (others.length === 0) continue;
    env.stderr.write(
      `warning: pid ${others.join(" and ")} also holds ${endpoint} slot ${slot}, and gets no new connection from it either; 'undrain' undoes this\n`,
    );
  }
}

async function run(env: Env, args: Arguments, exitWith: (code: number) => void): Promise<void> {
  const chosen = selector(args);
  const timeout = once("--timeout", args.timeout);
  if (chosen === null) throw new UsageError("drain needs one of --pid, --listener or --generation");
  if (timeout !== undefined && !args.wait) throw new UsageError("--timeout requires --wait");
  if (args.stuck && !args.yes) {
    throw new UsageError(
      "--stuck stops listeners of a running server for good: confirm with --yes",
    );
  }
  if (args.yes && !args.stuck) throw new UsageError("--yes requires --stuck");
  const timeoutMs = duration("--timeout", timeout ?? DEFAULT_TIMEOUT, 0, DAY_MS);
  const { drain, drainedNow, emptyStuck } = await import("../../loader/operate/drain.ts");
  const { Observer } = await import("../../loader/observe/observer.ts");
  const drained = await drain(specs(args.spec), chosen, {
    ...bpffsOf(args.bpffs),
    force: args.force === true,
  });
  warnOfShared(env, chosen, drained);
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
    describe: "Give a listener no new connections, so that closing it migrates none",
    builder: options,
    handler: (args) => run(env, args, exitWith),
  };
}

export function undrainCommand(env: Env): CommandModule<object, SelectorArguments> {
  return {
    command: "undrain <spec..>",
    describe: "Make drained listeners targets again: the named ones, or all",
    builder: (yargs: Argv) =>
      selectorOptions(yargs).example("$0 undrain :443", "every drained listener"),
    handler: async (args) => {
      const { undrain } = await import("../../loader/operate/drain.ts");
      const chosen = selector(args);
      print(env, args, "undrained", await undrain(specs(args.spec), chosen, bpffsOf(args.bpffs)));
    },
  };
}
