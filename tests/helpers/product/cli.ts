/** Runs the built command to its end. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const BIN = fileURLToPath(new URL("../../../cli/bin.js", import.meta.url));

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Generous on purpose: it only ends a run that hangs. */
const PATIENCE_MS = 60_000;

/**
 * Runs `reuseport-migrate ARGS`, started by the command `under` (`["setpriv", ...]`) if given.
 * After `killAfterMs` it gets SIGKILL.
 */
export function runCli(
  args: readonly string[],
  under: readonly string[] = [],
  killAfterMs = PATIENCE_MS,
): Promise<Run> {
  const [command = process.execPath, ...rest] = [...under, process.execPath, BIN, ...args];
  const child = spawn(command, rest, { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const kill = setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(kill);
      resolve({ code, stdout, stderr });
    });
  });
}
