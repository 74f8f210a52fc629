/** `status --watch` on a terminal: text is redrawn in place, and stays at the end. */
import type { Output } from "../env.ts";
import type { Paint } from "../output/colour.ts";

/* Control sequences of ECMA-48, and of xterm for its alternate screen. */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** Size of a terminal that does not report it. */
const COLUMNS = 80;
const ROWS = 24;

/** Lines above those that scroll. */
export const TITLE_LINES = 2;

/** The alternate screen of a terminal, from construction to dispose. */
export class Screen implements Disposable {
  readonly #out: Output;
  readonly #paint: Paint;
  #last: readonly string[] = [];
  #offset = 0;

  constructor(out: Output, paint: Paint = (text) => text) {
    this.#out = out;
    this.#paint = paint;
    this.enter();
  }

  enter(): void {
    this.#out.write(ENTER);
  }

  leave(): void {
    this.#out.write(LEAVE);
  }

  /** Rows that scroll. */
  get page(): number {
    return Math.max(1, (this.#out.rows || ROWS) - TITLE_LINES - 1);
  }

  get columns(): number {
    return this.#out.columns || COLUMNS;
  }

  /** Replaces the shown lines; in one write, so that the screen does not flicker. */
  draw(lines: readonly string[]): void {
    this.#last = lines.map(printable);
    this.scroll(0);
  }

  /** Moves the text up by a number of rows, down if it is negative. */
  scroll(rows: number): void {
    const most = Math.max(0, this.#last.length - TITLE_LINES - this.page);
    this.#offset = Math.min(most, Math.max(0, this.#offset + rows));
    this.#show(this.#last, this.#offset);
  }

  /** Shows other lines until the next draw. */
  show(lines: readonly string[]): void {
    this.#show(lines, 0);
  }

  #show(lines: readonly string[], offset: number): void {
    const { columns } = this;
    const fitting = fitToScreen(lines, columns, this.#out.rows || ROWS, offset);
    // After a line as wide as the window the cursor is still on its last character.
    const text = fitting
      .map((line) => (line.length < columns ? this.#paint(line) + CLEAR_LINE : this.#paint(line)))
      .join("\r\n");
    this.#out.write(`${HOME}${text}${CLEAR_BELOW}`);
  }

  /** Restores the terminal and prints the last lines below, in full. */
  [Symbol.dispose](): void {
    const text = this.#last.map((line) => `${line}\n`).join("");
    this.#out.write(LEAVE + this.#paint(text));
  }
}

/**
 * Returns the part that a window shows: the title, and from `offset` on what is below it. The last
 * line counts what follows.
 */
export function fitToScreen(
  lines: readonly string[],
  columns: number,
  rows: number,
  offset = 0,
): string[] {
  const rest = [...lines.slice(0, TITLE_LINES), ...lines.slice(TITLE_LINES + offset)];
  const more = rest.length - rows + 1;
  const shown = more > 1 ? [...rest.slice(0, rows - 1), `... ${more} more lines`] : rest;
  return shown.map((line) => line.slice(0, columns));
}

/** Replaces control characters: a process may choose its own name. */
function printable(line: string): string {
  return line.replaceAll(/\p{Cc}/gu, "?");
}
