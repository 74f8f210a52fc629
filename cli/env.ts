/** The process as a value: commands see only this, so that tests can run them in-process. */
export interface Env {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  readonly vars: Readonly<Record<string, string | undefined>>;
  /** Aborted by SIGTERM, SIGINT and SIGHUP; the reason is the signal's name. */
  readonly stop: AbortSignal;
}
