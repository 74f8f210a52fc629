/** events: the log lines of all sidecars, from the kernel's memory. */
import type { Argv, CommandModule } from "yargs";
import { LEVELS } from "../../loader/core/abi.ts";
import { NoMatchError } from "../../loader/errors.ts";
import type { PastEvent } from "../../loader/events/event_record.ts";
import { EVENTS } from "../../loader/log.ts";
import type { Env } from "../env.ts";
import { bpffsOf, type PinnedArguments, pinnedOptions } from "../options/pinned.ts";
import { nearest } from "../options/suggest.ts";
import { choice, duration, OptionError, once, specs } from "../options/values.ts";
import { painter } from "../output/colour.ts";
import { eventJson, eventLine } from "../output/log.ts";
import { follow } from "./follow.ts";
import { isSelected, type Selection } from "./selection.ts";

const MAX_SINCE_MS = 365 * 24 * 3_600_000;

interface Arguments extends PinnedArguments {
  readonly follow: boolean | undefined;
  readonly since: string | undefined;
  readonly level: string | undefined;
  readonly event: string[] | undefined;
}

function options(yargs: Argv): Argv<Arguments> {
  const selecting = yargs
    .option("follow", {
      alias: "f",
      type: "boolean",
      describe: "go on until Ctrl-C, also while no sidecar runs",
    })
    .option("since", {
      type: "string",
      requiresArg: true,
      defaultDescription: "all that are kept",
      describe: "only events of this long ago, such as 10m",
    })
    .option("level", {
      type: "string",
      requiresArg: true,
      defaultDescription: "info",
      describe: `only events of this level and above: ${LEVELS.join(", ")}`,
    })
    .option("event", {
      type: "string",
      array: true,
      requiresArg: true,
      describe: "only events with this name, such as moved; repeatable",
    });
  return pinnedOptions(selecting, "only events of groups on these; default: all events")
    .example("$0 events", "what happened lately")
    .example("$0 events :443 --follow --level warn", "warnings about port 443, as they come")
    .example(
      "$0 events --event moved --json | jq .accept_queue",
      "the connections that moved from accept queues",
    );
}

function eventName(name: string): string {
  if (EVENTS.some((each) => each === name)) return name;
  const best = nearest(name, EVENTS);
  const hint = best ? `did you mean '${best}'?` : "docs/EVENTS.md lists them";
  throw new OptionError("--event", `'${name}' is no event: ${hint}`);
}

function selectionOf(args: Arguments): Selection {
  const since = once("--since", args.since);
  return {
    specs: specs(args.spec),
    level: choice("--level", once("--level", args.level), LEVELS) ?? "info",
    names: (args.event ?? []).map(eventName),
    sinceMs: since === undefined ? 0 : Date.now() - duration("--since", since, 0, MAX_SINCE_MS),
  };
}

async function run(env: Env, args: Arguments): Promise<void> {
  const selection = selectionOf(args);
  const paint = painter("log", env.stdout, env.vars);
  const show = (event: PastEvent) => {
    if (!isSelected(event, selection)) return;
    const { id, timeMs, pid } = event;
    const line = args.json
      ? eventJson(event, timeMs, { id, sidecar_pid: pid })
      : paint(eventLine(event, timeMs));
    env.stdout.write(`${line}\n`);
  };
  const { PinTree, findBpffs } = await import("../../loader/bpf/pin_tree.ts");
  const { EventRing } = await import("../../loader/events/event_ring.ts");
  const { requireHost } = await import("../../loader/host/capabilities.ts");
  requireHost("read");
  const pinTree = new PinTree(findBpffs(bpffsOf(args.bpffs).bpffs));
  const open = () => (pinTree.exists ? EventRing.open(pinTree) : null);
  if (args.follow) return await follow(env, open, show);
  using ring = open();
  if (ring === null) throw new NoMatchError(`no sidecar has written events at ${pinTree.root}`);
  for (const event of ring.read(0, false).events) show(event);
}

export function eventsCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "events [spec..]",
    describe: "Show the last log lines of every sidecar, or follow them; works without a sidecar",
    builder: options,
    handler: (args) => run(env, args),
  };
}
