/** Runs the command in the foreground, with our stdin, stdout, stderr and signals. */
import { spawn } from "node:child_process";
import type { Env } from "../env.ts";
import type { Ending } from "../process/child.ts";
import { PASSED, TYPED } from "../process/signals.ts";

/**
 * Runs a command to its end.
 * @param toStderr whether its stdout goes to stderr, because we write to stdout
 */
export async function runToEnd(
  env: Env,
  [name, ...args]: readonly [string, ...string[]],
  toStderr: boolean,
): Promise<Ending> {
  const child = spawn(name, args, {
    stdio: ["inherit", toStderr ? 2 : "inherit", "inherit"],
    env: env.vars,
  });
  const unsubscribe = env.onSignals(PASSED, (signal) => {
    if (!(env.terminal && TYPED.has(signal))) child.kill(signal);
  });
  // A signal may have come before the handler was set.
  if (env.stop.aborted) child.kill(env.stop.reason);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
  } finally {
    unsubscribe();
  }
}
