/** Colour for people: on a terminal, unless NO_COLOR is set (https://no-color.org). Pure. */
import type { Output } from "../env.ts";

export type Paint = (text: string) => string;

/* Select Graphic Rendition of ECMA-48. */
const BOLD = 1;
const DIM = 2;
const RED = 31;
const GREEN = 32;
const YELLOW = 33;

type Rule = readonly [what: RegExp, code: number];

/** What has a colour, by the kind of text. No rule matches within the match of another. */
const RULES = {
  error: [[/^reuseport-migrate:/gm, RED]],
  help: [[/^(?:Usage|\S[^#\n]*):(?=$| )/gm, BOLD]],
  log: [
    [/ warn {2}/g, YELLOW],
    [/ error /g, RED],
  ],
  status: [
    [/^\S+(?= {2}service )/gm, BOLD],
    [/ draining(?= )/g, YELLOW],
    [/^ {2}holding .*$/gm, YELLOW],
    [/no sidecar is running/g, RED],
    [/not attached(?=$|:)/gm, RED],
    [/ dropped, /g, RED],
  ],
  check: [
    [/(?<=: )(?:fit|ready)(?=$| \()/gm, GREEN],
    [/(?<=: )(?:fit|ready),? with warnings/g, YELLOW],
    [/(?<=: )not (?:fit|ready)/g, RED],
    [/^ {2}ok /gm, GREEN],
    [/^ {2}no /gm, RED],
    [/^ {2}(?:warn|\?) /gm, YELLOW],
    [/^ {2}skip /gm, DIM],
  ],
} as const satisfies Record<string, readonly Rule[]>;

/** Returns what colours a kind of text for `out`; it changes nothing where colour is not wanted. */
export function painter(
  kind: keyof typeof RULES,
  out: Pick<Output, "isTTY">,
  vars: Readonly<Record<string, string | undefined>>,
): Paint {
  if (!out.isTTY || vars["NO_COLOR"] || vars["TERM"] === "dumb") return (text) => text;
  return (text) =>
    RULES[kind].reduce(
      (painted, [what, code]) => painted.replace(what, `\x1b[${code}m$&\x1b[0m`),
      text,
    );
}
