/** Where text goes: as much of Node's streams as is needed. */
export interface Output {
  write(text: string): unknown;
  /** It is a terminal, of so many columns and rows at this moment. */
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** The process as a value: commands see only this, so that tests can run them in-process. */
export interface Env {
  readonly stdout: Output;
  readonly stderr: { write(text: string): unknown };
  readonly vars: Readonly<Record<string, string | undefined>>;
  /** Stdin is a terminal: what is typed there signals all processes in the foreground, ours and our children. */
  readonly terminal: boolean;
  /** Aborted by SIGTERM, SIGINT and SIGHUP; the reason is the signal's name. */
  readonly stop: AbortSignal;
  /** Aborted when nobody reads stdout any more. */
  readonly unread: AbortSignal;
  /** Runs before others on a busy host from now on, if that is permitted (CAP_SYS_NICE). */
  hurry?(): void;
  /** Has `handler` called for each of these signals, instead of what they do by default; the result ends that. */
  onSignals(names: readonly NodeJS.Signals[], handler: (name: NodeJS.Signals) => void): () => void;
}
