/** stdout or stderr: Node's stream, until the process has to outlive what it writes to. */
import { fstatSync } from "node:fs";
import { isatty } from "node:tty";
import type { Output } from "../env.ts";
import { LineWriter } from "./line_writer.ts";

/** The part of Node's stream used here. */
type NodeStream = Pick<NodeJS.WriteStream, "write" | "columns" | "rows" | "on">;

export class StandardStream implements Output {
  readonly #fd: number;
  readonly #open: () => NodeStream;
  #isJournal: boolean | null = null;
  readonly #failed: (error: NodeJS.ErrnoException) => void;
  /** null: not used yet. Node's stream makes a pipe non-blocking, for every process that has it. */
  #stream: NodeStream | null = null;
  /** null: lines must arrive, or the command fails. */
  #lines: LineWriter | null = null;

  /**
   * @param open returns Node's stream
   * @param failed called with each error of Node's stream
   */
  constructor(fd: number, open: () => NodeStream, failed: (error: NodeJS.ErrnoException) => void) {
    this.#fd = fd;
    this.#open = open;
    this.#failed = failed;
  }

  /** From now on a write never waits, and lines that cannot be written are dropped. */
  outlive(resumed: (count: number, why: string) => void): LineWriter {
    this.#lines ??= new LineWriter(this.#fd, { resumed });
    return this.#lines;
  }

  write(text: string): void {
    if (this.#lines) this.#lines.write(text);
    else this.#node.write(text);
  }

  /** Whether it is the journal: JOURNAL_STREAM has the device and inode of it (systemd.exec(5)). */
  get isJournal(): boolean {
    this.#isJournal ??= isStream(this.#fd, process.env["JOURNAL_STREAM"]);
    return this.#isJournal;
  }

  get isTTY(): boolean {
    return isatty(this.#fd); // does not open Node's stream
  }

  get columns(): number {
    return this.#node.columns;
  }

  get rows(): number {
    return this.#node.rows;
  }

  /** Waits until every line of {@link outlive} is written; returns false if that takes longer. */
  async drain(timeoutMs: number): Promise<boolean> {
    return this.#lines === null || this.#lines.drain(timeoutMs);
  }

  get #node(): NodeStream {
    if (this.#stream === null) {
      this.#stream = this.#open();
      this.#stream.on("error", this.#failed);
    }
    return this.#stream;
  }
}

/** @param name `DEVICE:INODE`; undefined for no stream */
function isStream(fd: number, name: string | undefined): boolean {
  if (name === undefined) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return name === `${dev}:${ino}`;
  } catch {
    return false; // it is closed
  }
}
