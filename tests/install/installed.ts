/** Common steps of the installation tests: `make`, commands, and the sandbox they attach in. */
import { execFile } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const SANDBOX = join(ROOT, "tests/helpers/sandbox.sh");

/** Runs `command` and returns its stdout. @throws Error with all of its output */
export async function output(
  command: string,
  args: readonly string[],
  cwd = ROOT,
): Promise<string> {
  const { stdout } = await run(command, args, { cwd, maxBuffer: 1 << 26 });
  return stdout;
}

export async function make(...args: string[]): Promise<void> {
  await output("make", ["--no-print-directory", ...args]);
}

/** Makes a directory for PATH with Node only: no clang, no npm, no shell. */
export function pathWithNodeOnly(dir: string): string {
  const path = join(dir, "only-node");
  mkdirSync(path);
  symlinkSync(process.execPath, join(path, "node"));
  return path;
}

/** Runs another file of this folder in the sandbox. */
export async function inSandbox(file: string, ...args: string[]): Promise<void> {
  const main = fileURLToPath(new URL(file, import.meta.url));
  await output(SANDBOX, [process.execPath, main, ...args], "/");
}
