/** A drop-in that measures what a unit's reload does to connections. Pure. */
import type { UnitCommand } from "./unit_text.ts";

/** The command as it was, if this program is gone: a reload must not depend on us. */
const script = (words: number) => `[ -x "$0" ] && exec "$0" "$@"; shift ${words}; exec "$@"`;

/** The parts of a drop-in. */
export interface DropIn {
  readonly unit: string;
  readonly commands: readonly UnitCommand[];
  /** The path of this program. */
  readonly program: string;
  /** The SPECs of the groups to measure; every group if empty. */
  readonly specs: readonly string[];
}

/**
 * Returns the text of the drop-in. Only the last command is measured: those before it check the
 * configuration, and each measurement takes seconds.
 */
export function dropInText({ unit, commands, program, specs }: DropIn): string {
  const lines = commands.map(({ prefix, line }, index) => {
    if (index < commands.length - 1) return `ExecReload=${prefix}${line}`;
    const run = ["run", "--advisory", ...specs.map((spec) => spec.replaceAll("%", "%%")), "--"];
    const text = script(run.length);
    // With `:`, systemd replaces no variables, so that `$` is not doubled.
    const shell = prefix.includes(":") ? text : text.replaceAll("$", "$$$$");
    return `ExecReload=${prefix}/bin/sh -c '${shell}' ${[program, ...run].map(quoted).join(" ")} ${line}`;
  });
  return [
    `# Written by 'reuseport-migrate systemd-dropin ${unit}': the journal of the unit says how many`,
    "# connections a reload migrated or lost. The reload succeeds or fails as before.",
    "[Service]",
    "ExecReload=",
    ...lines,
    "",
  ].join("\n");
}

const quoted = (word: string): string => (/^[\w/.:%*-]+$/.test(word) ? word : `"${word}"`);
