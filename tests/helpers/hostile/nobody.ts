/** The attacker of a test: a user without any right on the host. */

export const NOBODY_UID = 65534;

/** A command that starts another command as that user, without capabilities. */
export const AS_NOBODY: readonly string[] = [
  "setpriv",
  `--reuid=${NOBODY_UID}`,
  `--regid=${NOBODY_UID}`,
  "--clear-groups",
  "--inh-caps=-all",
  "--",
];
