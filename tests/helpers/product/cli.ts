/** One run of the built command, to its end. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const BIN = fileURLToPath(new URL("../../../cli/bin.js", import.meta.url));

/** The tests' namespace only: a SPEC without covers the whole host, the user's servers included. */
export const HERE = ["--netns", "/proc/self/ns/net"] as const;

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Ends a run that hangs; generous, as it decides nothing else. */
const PATIENCE_MS = 60_000;

/**
 * Runs `reuseport-migrate ARGS`, behind the command `under` (`["setpriv", ...]`) if given.
 * `killAfterMs`: SIGKILLs it then, wherever it is.
 */
export function runCli(
  args: readonly string[],
  under: readonly string[] = [],
  killAfterMs = PATIENCE_MS,
): Promise<Run> {
  const confined = args[0] === "attach" && !args.includes("--netns") ? [...args, ...HERE] : args;
  const [command = process.execPath, ...rest] = [...under, process.execPath, BIN, ...confined];
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
