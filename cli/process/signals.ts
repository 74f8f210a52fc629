/** Signals between us and the command that we run in the foreground. */

/** Passed on to the command. */
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

/** A terminal sends these to all of its foreground processes: the command had them already. */
export const TYPED: ReadonlySet<NodeJS.Signals> = new Set(["SIGINT", "SIGQUIT", "SIGWINCH"]);
