/** The command that exec or run is to run: whether it can be run, found as execvp(3) finds it. */
import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../../loader/errors.ts";

/** As env(1), nohup(1) and the shells: exit code 127. */
export class CommandNotFoundError extends Error {
  override name = "CommandNotFoundError";
}

/** It is there and is not a program: exit code 126. */
export class NotExecutableError extends Error {
  override name = "NotExecutableError";
}

/** What follows `--`; `usage` is the command line before it. @throws UsageError */
export function commandAfter(
  usage: string,
  words: readonly string[] | undefined,
): readonly [string, ...string[]] {
  const [name, ...rest] = words ?? [];
  if (name) return [name, ...rest];
  const verb = /^[a-z ]*[a-z]/.exec(usage)?.[0];
  throw new UsageError(`${verb} wants a command after '--', such as ${usage} -- node server.js`);
}

/** What execvp(3) searches when PATH is not set. */
const DEFAULT_PATH = "/bin:/usr/bin";

/**
 * Looks before anything is changed; a name with a slash is a path, any other is searched in `path`.
 * @throws CommandNotFoundError, NotExecutableError
 */
export function requireCommand(name: string, path: string = DEFAULT_PATH): void {
  const candidates = name.includes("/")
    ? [name]
    : path.split(":").map((directory) => join(directory || ".", name));
  const found = candidates.map(probe);
  if (found.includes("executable")) return;
  if (found.includes("file")) {
    throw new NotExecutableError(`'${name}' cannot be run: it is not an executable file`);
  }
  const where = name.includes("/") ? "there is no such file" : "it is not in PATH";
  throw new CommandNotFoundError(`'${name}' cannot be run: ${where}`);
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
