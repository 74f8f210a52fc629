/** Keys of `status --watch` on a terminal. Pure. */

export interface KeyAction {
  readonly does: "quit" | "help" | "suspend" | "scroll";
  readonly rows?: number;
  readonly pages?: number;
}

const FAR = 1e6;

/** Keys by what a terminal sends for them (xterm, and vt for Home and End). */
const KEYS: Readonly<Record<string, KeyAction>> = {
  q: { does: "quit" },
  "\x03": { does: "quit" }, // Ctrl-C
  "\x1a": { does: "suspend" }, // Ctrl-Z
  "?": { does: "help" },
  h: { does: "help" },
  k: { does: "scroll", rows: -1 },
  j: { does: "scroll", rows: 1 },
  "\x1b[A": { does: "scroll", rows: -1 },
  "\x1b[B": { does: "scroll", rows: 1 },
  "\x1bOA": { does: "scroll", rows: -1 },
  "\x1bOB": { does: "scroll", rows: 1 },
  "\x1b[5~": { does: "scroll", pages: -1 },
  "\x1b[6~": { does: "scroll", pages: 1 },
  " ": { does: "scroll", pages: 1 },
  "\x1b[H": { does: "scroll", rows: -FAR },
  "\x1b[F": { does: "scroll", rows: FAR },
  "\x1b[1~": { does: "scroll", rows: -FAR },
  "\x1b[4~": { does: "scroll", rows: FAR },
};

export const KEYS_HELP = [
  "Keys of status --watch",
  "",
  "  up, down, j, k         scroll by a line",
  "  PgUp, PgDn, space      scroll by a page",
  "  Home, End              to the beginning, to the end",
  "  ?, h                   this list; any key returns",
  "  q, Ctrl-C              quit",
  "  Ctrl-Z                 suspend",
];

/** Returns the actions of what a terminal sent at once: typed fast, that is several keys. */
export function keyActions(input: string): KeyAction[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the keys are control sequences
  const keys = input.match(/\x1b(?:\[[0-9;]*[~A-Za-z]|O[A-Za-z])|[^\x1b]/g) ?? [];
  return keys.flatMap((key) => KEYS[key] ?? []);
}
