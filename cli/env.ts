/** An output stream: the part of Node's that commands use. */
export interface Output {
  write(text: string): unknown;
  /** Whether it is the journal of systemd. */
  readonly isJournal?: boolean;
  /** Whether it is a terminal, and its current size. */
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** The output of a process that outlives what it goes to. */
export interface Outliving {
  /** Returns the number of lines dropped so far. */
  dropped(): number;
  /** Waits until all lines are written or dropped; returns false if that takes longer. */
  drain(timeoutMs: number): Promise<boolean>;
}

/** A terminal that sends each key at once, without an echo; Ctrl-C and Ctrl-Z too. */
export interface Keyboard {
  /** Stops the process, as Ctrl-Z does, until it is continued. */
  suspend(): void;
  /** Makes the terminal as it was. */
  close(): void;
}

/** The process as a value: commands see only this, so that tests run them in-process. */
export interface Env {
  readonly stdout: Output;
  readonly stderr: Pick<Output, "write" | "isTTY" | "isJournal">;
  readonly vars: Readonly<Record<string, string | undefined>>;
  /** File descriptors that the process was started with; absent: not known. */
  readonly inheritedFds?: ReadonlySet<number>;
  /** Reads keys as they are typed; absent if stdin is no terminal. */
  keys?(typed: (input: string) => void): Keyboard;
  /** Whether stdin is a terminal, which sends its signals to our children too. */
  readonly terminal: boolean;
  /** Aborted by SIGTERM, SIGINT and SIGHUP; the reason is the signal's name. */
  readonly stop: AbortSignal;
  /** Aborted once stdout has no reader. */
  readonly unread: AbortSignal;
  /**
   * For a process that must outlive what its output goes to: from now on no write to stdout or
   * stderr waits, and lines that cannot be written are dropped.
   * @param resumed called with the number of lines that were dropped, and why, once lines can be
   *   written again
   */
  outlive?(resumed: (count: number, why: string) => void): Outliving;
  /** Raises the scheduling priority, if that is permitted (CAP_SYS_NICE). */
  raisePriority?(): void;
  /**
   * Calls `handler` for each of these signals instead of their default action; the result stops
   * that.
   */
  onSignals(names: readonly NodeJS.Signals[], handler: (name: NodeJS.Signals) => void): () => void;
}
