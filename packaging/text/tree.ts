/** The commands as data: man pages and completions are made from what --help is made from. */
import type { Options } from "yargs";
import type { Entry, Page } from "../../cli/help/page.ts";
import { NAME, pages } from "../../cli/line/command_list.ts";

export interface Command extends Pick<Page, "path" | "summary" | "examples" | "notes"> {
  /** With the name of the program. */
  readonly usage: string;
  readonly positionals: ReadonlyMap<string, Options>;
  readonly options: ReadonlyMap<string, Options>;
  readonly children: readonly Command[];
  /** Whether the command line of another program follows `--`. */
  readonly runsProgram: boolean;
}

/** Returns the commands, each with the commands below it. */
export async function commandTree(): Promise<Command[]> {
  return (await pages()).map(commandOf);
}

/** Returns each command, followed by the commands below it. */
export function flat(commands: readonly Command[]): Command[] {
  return commands.flatMap((command) => [command, ...flat(command.children)]);
}

function commandOf(page: Page): Command {
  const byName = (entries: readonly Entry[]) =>
    new Map(entries.map(({ name, options }) => [name, options]));
  return {
    ...page,
    usage: `${NAME} ${page.usage}`,
    positionals: byName(page.positionals),
    options: byName(page.options),
    children: page.children.map(commandOf),
    runsProgram: / -- /.test(page.usage),
  };
}
