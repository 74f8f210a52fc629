/** Signals that a command in the foreground gets. */

/** Signals that are passed on to the command. */
export const PASSED = [
  "SIGTERM",
  "SIGINT",
  "SIGHUP",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGWINCH",
  "SIGCONT",
] as const;

/** Signals that a terminal sends to all its foreground processes: the command has them already. */
export const TYPED: ReadonlySet<NodeJS.Signals> = new Set(["SIGINT", "SIGQUIT", "SIGWINCH"]);
