/** `status --watch` on a terminal: text is redrawn in place, and stays at the end. */
import type { Output } from "../env.ts";

/* Control sequences of ECMA-48, and of xterm for its alternate screen. */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** Size of a terminal that does not report it. */
const COLUMNS = 80;
const ROWS = 24;

/** The alternate screen of a terminal, from construction to dispose. */
export class Screen implements Disposable {
  readonly #out: Output;
  #last: readonly string[] = [];

  constructor(out: Output) {
    this.#out = out;
    out.write(ENTER);
  }

  /** Replaces the shown lines; in one write, so that the screen does not flicker. */
  draw(lines: readonly string[]): void {
    this.#last = lines.map(printable);
    const columns = this.#out.columns || COLUMNS;
    const fitting = fitToScreen(this.#last, columns, this.#out.rows || ROWS);
    // After a line as wide as the window the cursor is still on its last character.
    const text = fitting
      .map((line) => (line.length < columns ? line + CLEAR_LINE : line))
      .join("\r\n");
    this.#out.write(`${HOME}${text}${CLEAR_BELOW}`);
  }

  /** Restores the terminal and prints the last lines below, in full. */
  [Symbol.dispose](): void {
    this.#out.write(LEAVE + this.#last.map((line) => `${line}\n`).join(""));
  }
}

/** Returns the part that a window shows; its last line counts the others. */
export function fitToScreen(lines: readonly string[], columns: number, rows: number): string[] {
  const more = lines.length - rows + 1;
  const shown = more > 1 ? [...lines.slice(0, rows - 1), `... ${more} more lines`] : lines;
  return shown.map((line) => line.slice(0, columns));
}

/** Replaces control characters: a process may choose its own name. */
function printable(line: string): string {
  return line.replaceAll(/\p{Cc}/gu, "?");
}
