/** The process as a value: commands see only this, so that tests can run them in-process. */
export interface Env {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  readonly vars: Readonly<Record<string, string | undefined>>;
  /** Stdin is a terminal: what is typed there signals all processes in the foreground, ours and our children. */
  readonly terminal: boolean;
  /** Aborted by SIGTERM, SIGINT and SIGHUP; the reason is the signal's name. */
  readonly stop: AbortSignal;
  /** Has `handler` called for each of these signals, instead of what they do by default; the result ends that. */
  onSignals(names: readonly NodeJS.Signals[], handler: (name: NodeJS.Signals) => void): () => void;
}
