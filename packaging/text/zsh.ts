/** Completion for zsh. Pure. */
import { type Command, flat } from "./tree.ts";
import { valuesOf } from "./values.ts";

/** Returns the script, a file `_reuseport-migrate` of $fpath. */
export function zshCompletion(commands: readonly Command[]): string {
  const parents = commands.filter(({ children }) => children.length > 0);
  const program = flat(commands).filter(({ runsProgram }) => runsProgram);
  return `${[
    "#compdef reuseport-migrate",
    "# generated: packaging/text/zsh.ts",
    "_reuseport_migrate_units() {",
    "  (( $+commands[systemctl] )) || return",
    '  local -a units=(${${(f)"$(systemctl list-units --all --plain --no-legend --type=service 2>/dev/null)"}%%.service *})',
    "  compadd -a units",
    "}",
    "_reuseport_migrate() {",
    "  local -a names",
    "  if (( CURRENT == 2 )); then",
    ...describe(commands),
    "    compadd help version",
    "    _arguments '--help[show help]' '--version[show the version]'",
    "    return",
    "  fi",
    "  local at=$words[2] dashes=${words[(i)--]}",
    ...parents.map(({ path, children }) => {
      const verbs = children.map((child) => child.path.at(-1)).join("|");
      return `  [[ $at == ${path[0]} && $words[3] == (${verbs}) ]] && (( CURRENT > 3 )) && at+=" $words[3]"`;
    }),
    "  if (( dashes < CURRENT )); then",
    `    [[ $at == (${program.map(({ path }) => path.join("\\ ")).join("|")}) ]] || return`,
    '    words=("${(@)words[dashes+1,-1]}")',
    "    (( CURRENT -= dashes ))",
    "    _normal",
    "    return",
    "  fi",
    ...parents.flatMap(({ path, children }) => [
      `  if [[ $at == ${path[0]} ]] && (( CURRENT == 3 )) && [[ $PREFIX != -* ]]; then`,
      ...describe(children),
      "    return",
      "  fi",
    ]),
    "  local skip=${(w)#at}",
    "  shift $skip words",
    "  (( CURRENT -= skip ))",
    "  case $at in",
    ...flat(commands).flatMap(commandCase),
    "  esac",
    "}",
    '_reuseport_migrate "$@"',
  ].join("\n")}\n`;
}

function describe(commands: readonly Command[]): string[] {
  return [
    "    names=(",
    ...commands.map(({ path, summary }) => `      ${quote(`${path.at(-1)}:${summary}`)}`),
    "    )",
    "    _describe command names",
  ];
}

function commandCase({ path, options, positionals }: Command): string[] {
  const specs = [...options].map(([name, each]) => {
    const text = String(each.describe).replaceAll(/[[\]\\:]/g, "\\$&");
    const values = valuesOf(name, each);
    return quote(`${values ? `*--${name}=` : `--${name}`}[${text}]${values ? action(values) : ""}`);
  });
  const rest = [...positionals].map(([name, each]) =>
    each.choices ? `:value:(${each.choices.join(" ")})` : `*:${name.replaceAll(/[^a-z]/g, "")}: `,
  );
  return [
    `    ${path.join("\\ ")})`,
    `      _arguments ${[...specs, "'--help[show help]'", ...rest.map(quote)].join(" \\\n        ")} ;;`,
  ];
}

function action({ files, units, words }: NonNullable<ReturnType<typeof valuesOf>>): string {
  if (units) return ":unit:_reuseport_migrate_units";
  if (files && words.length > 0)
    return `:value:_alternative "words\\:word\\:(${words.join(" ")})" "files\\:file\\:_files"`;
  if (files) return ":file:_files";
  return words.length > 0 ? `:value:(${words.join(" ")})` : ":value: ";
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
