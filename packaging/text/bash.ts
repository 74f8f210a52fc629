/** Completion for bash: one function; starts no process except systemctl for --unit. Pure. */
import { type Command, flat } from "./tree.ts";
import { valuesOf } from "./values.ts";

const HEAD = `# bash completion for reuseport-migrate, generated: packaging/text/bash.ts
_reuseport_migrate() {
    local cur=\${COMP_WORDS[COMP_CWORD]} last=\${COMP_WORDS[COMP_CWORD-1]} path=\${COMP_WORDS[1]}
    local i words= options= files= units=
    COMPREPLY=()
    # bash splits words at '='.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $last == = ]]; then
        last=\${COMP_WORDS[COMP_CWORD-2]}
    fi`;

const TAIL = `    [[ $cur == -* && -z $words$files$units ]] && words=$options
    # shellcheck disable=SC2207 # words without spaces
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    if [[ -n $units ]] && type -p systemctl >/dev/null; then
        # shellcheck disable=SC2207
        COMPREPLY+=($(compgen -W "$(systemctl list-units --all --plain --no-legend --type=service 2>/dev/null |
            sed 's/\\.service .*//')" -- "$cur"))
    fi
    if [[ -n $files ]]; then
        compopt -o filenames
        while IFS= read -r i; do COMPREPLY+=("$i"); done < <(compgen -f -- "$cur")
    fi
}
complete -F _reuseport_migrate reuseport-migrate
`;

/** Returns the script. */
export function bashCompletion(commands: readonly Command[]): string {
  const parents = commands.filter(({ children }) => children.length > 0);
  return [
    HEAD,
    ...parents.map(({ path, children }) => {
      const verbs = children.map((child) => child.path.at(-1)).join("|");
      return `    ((COMP_CWORD > 2)) && [[ $path == ${path[0]} && \${COMP_WORDS[2]} == @(${verbs}) ]] && path+=" \${COMP_WORDS[2]}"`;
    }),
    "    for ((i = 2; i < COMP_CWORD; i++)); do",
    "        [[ ${COMP_WORDS[i]} == -- ]] || continue",
    "        case $path in",
    `        ${pattern(flat(commands).filter(({ runsProgram }) => runsProgram))})`,
    "            if declare -F _command_offset >/dev/null; then",
    "                _command_offset $((i + 1))",
    "            elif ((COMP_CWORD == i + 1)); then",
    '                while IFS= read -r i; do COMPREPLY+=("$i"); done < <(compgen -c -- "$cur")',
    "            else",
    "                compopt -o filenames",
    '                while IFS= read -r i; do COMPREPLY+=("$i"); done < <(compgen -f -- "$cur")',
    "            fi ;;",
    "        esac",
    "        return",
    "    done",
    "    if ((COMP_CWORD == 1)); then",
    `        words="${commands.map(({ path }) => path[0]).join(" ")} help version --help --version"`,
    "    else",
    "        case $path in",
    ...flat(commands).flatMap(commandCase),
    "        esac",
    "    fi",
    TAIL,
  ].join("\n");
}

function commandCase(command: Command): string[] {
  const withValue = [...command.options].flatMap(([name, options]) => {
    const values = valuesOf(name, options);
    if (!values) return [];
    const sets = [
      values.words.length > 0 && `words="${values.words.join(" ")}"`,
      values.files && "files=1",
      values.units && "units=1",
    ].filter((it) => it !== false);
    return [`            --${name}) options= ${sets.join(" ")} ;;`.replace("=  ;;", "= ;;")];
  });
  const names = [...command.options.keys(), "help"].map((name) => `--${name}`);
  const here = command.children.map((child) => child.path.at(-1));
  const choices = [...command.positionals.values()].flatMap((it) => it.choices ?? []);
  const words = [...here, ...choices].join(" ");
  return [
    `        ${pattern([command])})`,
    `            options="${names.join(" ")}"`,
    "            case $last in",
    ...withValue,
    ...(words
      ? [`            *) ((COMP_CWORD == ${command.path.length + 1})) && words="${words}" ;;`]
      : []),
    "            esac ;;",
  ];
}

const pattern = (commands: readonly Command[]): string =>
  commands.map(({ path }) => path.join("\\ ")).join("|");
