/** An output stream: the part of Node's that commands use. */
export interface Output {
  write(text: string): unknown;
  /** Whether it is a terminal, and its current size. */
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** The process as a value: commands see only this, so that tests run them in-process. */
export interface Env {
  readonly stdout: Output;
  readonly stderr: { write(text: string): unknown };
  readonly vars: Readonly<Record<string, string | undefined>>;
  /** Whether stdin is a terminal, which sends its signals to our children too. */
  readonly terminal: boolean;
  /** Aborted by SIGTERM, SIGINT and SIGHUP; the reason is the signal's name. */
  readonly stop: AbortSignal;
  /** Aborted once stdout has no reader. */
  readonly unread: AbortSignal;
  /** Raises the scheduling priority, if that is permitted (CAP_SYS_NICE). */
  raisePriority?(): void;
  /**
   * Calls `handler` for each of these signals instead of their default action; the result stops
   * that.
   */
  onSignals(names: readonly NodeJS.Signals[], handler: (name: NodeJS.Signals) => void): () => void;
}
