/**
 * Exit codes, one a class of error. README and `--help` print this table; exec
 * and run otherwise exit as their command did.
 */
import {
  ConflictError,
  NoMatchError,
  NotSupportedError,
  PermissionError,
  UsageError,
} from "../../loader/errors.ts";
import { CommandNotFoundError, NotExecutableError } from "./spec_command.ts";

/** A verdict, not an error: the command went well, and lost connections. */
export const TOO_MANY_LOST = 3;

export const EXIT = [
  { code: 0, meaning: "done" },
  { code: 1, meaning: "something unexpected failed" },
  { code: 2, meaning: "wrong usage: SPEC, option or argument", of: UsageError },
  { code: TOO_MANY_LOST, meaning: "run: more connections were lost than --max-lost allows" },
  { code: 4, meaning: "no listener, or nothing attached, matches", of: NoMatchError },
  { code: 5, meaning: "not permitted: not root, or a capability is missing", of: PermissionError },
  { code: 6, meaning: "not supported here: kernel, BTF, bpffs or libbpf", of: NotSupportedError },
  {
    code: 7,
    meaning: "conflict: foreign program, other map, other sidecar, other version, port taken",
    of: ConflictError,
  },
  { code: 126, meaning: "exec, run: the command is not executable", of: NotExecutableError },
  { code: 127, meaning: "exec, run: there is no such command", of: CommandNotFoundError },
] as const;

/** The exit code for an error. */
export function exitCode(error: unknown): number {
  return EXIT.find((entry) => "of" in entry && error instanceof entry.of)?.code ?? 1;
}
