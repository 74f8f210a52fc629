/** Runs the command in the foreground, with our stdin, stdout, stderr and signals. */
import { spawn } from "node:child_process";
import type { Env } from "../env.ts";
import { type Ending, endOf } from "../process/child.ts";

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
  return endOf(env, child);
}
