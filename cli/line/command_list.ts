/** The commands by name, each loaded when it is asked for. */
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { type Page, pageOf } from "../help/page.ts";
import { Recorder } from "../help/recorder.ts";

export const NAME = "reuseport-migrate";

export type ExitWith = (code: number) => void;
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
  ["attach", lazily(async () => (await import("../attach/command.ts")).attachCommand)],
  ["exec", lazily(async () => (await import("../exec/command.ts")).execCommand)],
  ["run", lazily(async () => (await import("../run/command.ts")).runCommand)],
  ["status", lazily(async () => (await import("../status/command.ts")).statusCommand)],
  ["events", lazily(async () => (await import("../events/command.ts")).eventsCommand)],
  ["check", lazily(async () => (await import("../commands/check.ts")).checkCommand)],
  ["detach", lazily(async () => (await import("../commands/detach.ts")).detachCommand)],
  ["policy", lazily(async () => (await import("../commands/policy.ts")).policyCommand)],
  ["drain", lazily(async () => (await import("../commands/drain.ts")).drainCommand)],
  ["undrain", lazily(async () => (await import("../commands/drain.ts")).undrainCommand)],
  ["release", lazily(async () => (await import("../commands/release.ts")).releaseCommand)],
  ["metrics", lazily(async () => (await import("../commands/metrics.ts")).metricsCommand)],
  ["store", lazily(async () => (await import("../store/command.ts")).storeCommand)],
  [
    "systemd-dropin",
    lazily(async () => (await import("../systemd/command.ts")).systemdDropinCommand),
  ],
  ["completion", lazily(async () => (await import("../commands/completion.ts")).completionCommand)],
]);

/** Commands that the command line answers itself. */
export const ANSWERED = [
  ["help", "Show help, or that of a command"],
  ["version", "Show the versions of this program, its pins, the kernel and libbpf"],
] as const;

/** Returns the page of each command. */
export function pages(): Promise<Page[]> {
  return Promise.all([...COMMANDS.keys()].map(page));
}

/** Returns the page of one command. @requires that it is one of {@link COMMANDS} */
export async function page(name: string): Promise<Page> {
  const load = COMMANDS.get(name);
  if (!load) throw new Error(`no command ${name}`);
  const recorder = new Recorder();
  // A definition reads nothing of the environment.
  (await load())(recorder as unknown as Argv, {} as Env, () => {});
  const [module] = recorder.commands;
  if (!module) throw new Error(`${name} adds no command`);
  return pageOf(module);
}
