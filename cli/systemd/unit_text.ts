/** The ExecReload= commands of a unit, from the text that `systemctl cat` prints. Pure. */

/** One command line of ExecReload=, as the unit has it. */
export interface UnitCommand {
  /** `-`, `@`, `:`, `+`, `!`, `!!` and `|` before the path (systemd.service(5)). */
  readonly prefix: string;
  /** Path and arguments, with their quotes, variables and specifiers. */
  readonly line: string;
}

/**
 * @param text files of the unit, each after a line `# PATH`
 * @param without the path of a file to leave out
 */
export function reloadCommands(text: string, without: string): UnitCommand[] {
  let values: string[] = [];
  for (const [name, value] of serviceSettings(text, without)) {
    if (name !== "ExecReload") continue;
    values = value === "" ? [] : [...values, value];
  }
  return values.flatMap(commandsOf);
}

/** Yields the settings of all [Service] sections, lines joined that end with a backslash. */
function* serviceSettings(text: string, without: string): Generator<[string, string]> {
  let [file, section, joined] = ["", "", ""];
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    const [, path] = /^# (\/.*)$/.exec(line) ?? [];
    if (path !== undefined) [file, section] = [path, ""];
    // Also between the parts of a line.
    if (/^[#;]/.test(line)) continue;
    joined += line;
    if (joined.endsWith("\\")) {
      joined = `${joined.slice(0, -1)} `;
      continue;
    }
    const whole = joined.trim();
    joined = "";
    section = /^\[(.*)\]$/.exec(whole)?.[1] ?? section;
    const [, name, value] = /^(\w+)\s*=\s*(.*)$/.exec(whole) ?? [];
    if (section === "Service" && file !== without && name) yield [name, value ?? ""];
  }
}

/** Splits a value at the words `;`, which separate commands. */
function commandsOf(value: string): UnitCommand[] {
  const commands: string[][] = [[]];
  for (const word of wordsOf(value)) {
    if (word === ";") commands.push([]);
    else commands.at(-1)?.push(word);
  }
  return commands.flatMap((words) => {
    const [, prefix = "", line = ""] = /^([-@:+!|]*)(.*)$/s.exec(words.join(" ")) ?? [];
    return line === "" ? [] : [{ prefix, line }];
  });
}

/** Returns the words with their quotes and escapes. */
function wordsOf(value: string): string[] {
  return value.match(/(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.|[^\s"'\\]|["'\\])+/g) ?? [];
}
