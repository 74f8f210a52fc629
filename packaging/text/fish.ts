/** Completion for fish. Pure. */
import { type Command, flat } from "./tree.ts";
import { valuesOf } from "./values.ts";

/** Returns the script, a file `reuseport-migrate.fish`. */
export function fishCompletion(commands: readonly Command[]): string {
  const all = flat(commands);
  const verbs = commands.flatMap(({ children }) => children.map(({ path }) => path.join(" ")));
  const programs = all.filter(({ runsProgram }) => runsProgram).map(({ path }) => path.join(" "));
  return `${[
    "# fish completion for reuseport-migrate, generated: packaging/text/fish.ts",
    "# Prints the command that the line has, such as 'store put'.",
    "function __reuseport_migrate_path",
    "    set -l words (commandline -opc)",
    `    if contains -- "$words[2..3]" ${verbs.map(quote).join(" ")}`,
    "        echo $words[2..3]",
    "    else",
    "        echo $words[2]",
    "    end",
    "end",
    "function __reuseport_migrate_at",
    '    not contains -- -- (commandline -opc); and test (__reuseport_migrate_path) = "$argv"',
    "end",
    "# Completes the command line of another program, after '--'.",
    "function __reuseport_migrate_program",
    "    set -l words (commandline -opc)",
    "    set -l at (contains -i -- -- $words); or return",
    "    complete -C (string join -- ' ' (string escape -- $words[(math $at + 1)..]) (commandline -ct))",
    "end",
    "function __reuseport_migrate_runs",
    `    contains -- -- (commandline -opc); and contains -- (__reuseport_migrate_path) ${programs.map(quote).join(" ")}`,
    "end",
    "function __reuseport_migrate_units",
    "    command -q systemctl; or return",
    "    systemctl list-units --all --plain --no-legend --type=service 2>/dev/null | string replace -r '\\.service .*' ''",
    "end",
    "complete -c reuseport-migrate -f",
    "complete -c reuseport-migrate -n __reuseport_migrate_runs -xa '(__reuseport_migrate_program)'",
    ...names("", commands),
    "complete -c reuseport-migrate -n '__reuseport_migrate_at' -a 'help version'",
    "complete -c reuseport-migrate -n '__reuseport_migrate_at' -l version -d 'Show the version'",
    "complete -c reuseport-migrate -n 'not contains -- -- (commandline -opc)' -l help -d 'Show help'",
    ...all.flatMap(lines),
  ].join("\n")}\n`;
}

function names(parent: string, commands: readonly Command[]): string[] {
  const isHere = `__reuseport_migrate_at ${parent}`.trim();
  return commands.map(
    ({ path, summary }) =>
      `complete -c reuseport-migrate -n '${isHere}' -a ${path.at(-1)} -d ${quote(summary)}`,
  );
}

function lines(command: Command): string[] {
  const name = command.path.join(" ");
  const head = `complete -c reuseport-migrate -n '__reuseport_migrate_at ${name}'`;
  const choices = [...command.positionals.values()].flatMap((it) => it.choices ?? []);
  return [
    ...names(name, command.children),
    ...(choices.length > 0 ? [`${head} -a ${quote(choices.join(" "))}`] : []),
    ...[...command.options].map(([option, options]) => {
      const values = valuesOf(option, options);
      const text = `-d ${quote(String(options.describe))}`;
      return `${head} -l ${option} ${values ? `${value(values)} ` : ""}${text}`;
    }),
  ];
}

function value({ files, units, words }: NonNullable<ReturnType<typeof valuesOf>>): string {
  if (units) return "-xa '(__reuseport_migrate_units)'";
  const some = words.length > 0 ? ` -a ${quote(words.join(" "))}` : "";
  return `${files ? "-rF" : "-x"}${some}`;
}

const quote = (text: string): string => `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
