/** Watching on a terminal: text that is redrawn in place, and stays when it ends. */
import type { Output } from "../env.ts";

/* Control sequences of ECMA-48, and of xterm for its second screen; what follows the cursor is erased as it is overwritten. */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** A terminal that does not say how large it is. */
const COLUMNS = 80;
const ROWS = 24;

/** The second screen of a terminal, from construction to dispose. */
export class Screen implements Disposable {
  readonly #out: Output;
  #last: readonly string[] = [];

  constructor(out: Output) {
    this.#out = out;
    out.write(ENTER);
  }

  /** Shows these lines instead of what was there: in one write, so that nothing flickers. */
  draw(lines: readonly string[]): void {
    this.#last = lines.map(printable);
    const columns = this.#out.columns || COLUMNS;
    const fitting = fitToScreen(this.#last, columns, this.#out.rows || ROWS);
    // Behind a line as wide as the window the cursor is still on its last character.
    const text = fitting
      .map((line) => (line.length < columns ? line + CLEAR_LINE : line))
      .join("\r\n");
    this.#out.write(`${HOME}${text}${CLEAR_BELOW}`);
  }

  /** Leaves the terminal as it was, and below it the whole of what was shown last. */
  [Symbol.dispose](): void {
    this.#out.write(LEAVE + this.#last.map((line) => `${line}\n`).join(""));
  }
}

/** As much as a window shows; the last line says what it does not. */
export function fitToScreen(lines: readonly string[], columns: number, rows: number): string[] {
  const more = lines.length - rows + 1;
  const shown = more > 1 ? [...lines.slice(0, rows - 1), `... ${more} more lines`] : lines;
  return shown.map((line) => line.slice(0, columns));
}

/** A process may be named as it likes: its name is not to steer the terminal. */
function printable(line: string): string {
  return line.replaceAll(/\p{Cc}/gu, "?");
}
