/** The command after `--` of exec, run and store: checked before it runs, as execvp(3) finds it. */
import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../../loader/errors.ts";

/** The command does not exist. Exit code 127, as of env(1), nohup(1) and the shells. */
export class CommandNotFoundError extends Error {
  override name = "CommandNotFoundError";
}

/** The command exists and is not a program. Exit code 126. */
export class NotExecutableError extends Error {
  override name = "NotExecutableError";
}

/**
 * Returns the command after `--`.
 * @param usage an example of the command line before `--`
 * @throws UsageError if there is none
 */
export function commandAfter(
  usage: string,
  args: readonly string[] | undefined,
  example = "node server.js",
): readonly [string, ...string[]] {
  const [name, ...rest] = args ?? [];
  if (name) return [name, ...rest];
  const verb = /^[a-z ]*[a-z]/.exec(usage)?.[0];
  throw new UsageError(`${verb} requires a command after '--', such as ${usage} -- ${example}`);
}

/** Directories that execvp(3) searches if PATH is not set. */
const DEFAULT_PATH = "/bin:/usr/bin";

/**
 * Checks that a command can be run, before anything is changed.
 * @param name a path if it has a slash, otherwise searched in `path`
 * @throws CommandNotFoundError, NotExecutableError
 */
export function requireCommand(name: string, path: string = DEFAULT_PATH): void {
  const candidates = name.includes("/") ? [name] : pathsOf(name, path);
  const found = candidates.map(probe);
  if (found.includes("executable")) return;
  if (found.includes("file")) {
    throw new NotExecutableError(`'${name}' cannot be run: it is not an executable file`);
  }
  const where = name.includes("/") ? "no such file" : "it is not in PATH";
  throw new CommandNotFoundError(`'${name}' cannot be run: ${where}`);
}

/** Returns the path of a command in `path`, or null if it is not there. */
export function executableIn(path: string, name: string): string | null {
  return pathsOf(name, path).find((candidate) => probe(candidate) === "executable") ?? null;
}

function pathsOf(name: string, path: string): string[] {
  return path.split(":").map((directory) => join(directory || ".", name));
}

function probe(path: string): "executable" | "file" | "nothing" {
  try {
    if (!statSync(path).isFile()) return "file";
    accessSync(path, constants.X_OK);
    return "executable";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "EACCES" ? "file" : "nothing";
  }
}
