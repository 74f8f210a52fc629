/** The command: in the foreground, with our stdin, stdout and stderr, and the signals that we get. */
import { spawn } from "node:child_process";
import type { Env } from "../env.ts";
import type { Ending } from "../process/child.ts";
import { PASSED, TYPED } from "../process/signals.ts";

/** Runs it to its end. @param toStderr its stdout is ours to write to: its own goes to stderr */
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
  // It may have come before we listened for it.
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
