/**
 * Exit codes, one a class of error. README and `--help` print this table; exec
 * otherwise exits as its server did.
 */
import {
  ConflictError,
  NoMatchError,
  NotSupportedError,
  PermissionError,
  UsageError,
} from "../loader/errors.ts";
import { CommandNotFoundError, NotExecutableError } from "./exec/command.ts";

export const EXIT = [
  { code: 0, meaning: "done" },
  { code: 1, meaning: "something unexpected failed" },
  { code: 2, meaning: "wrong usage: SPEC, option or argument", of: UsageError },
  { code: 4, meaning: "no listener, or nothing attached, matches", of: NoMatchError },
  { code: 5, meaning: "not permitted: not root, or a capability is missing", of: PermissionError },
  { code: 6, meaning: "not supported here: kernel, BTF, bpffs or libbpf", of: NotSupportedError },
  {
    code: 7,
    meaning: "conflict: foreign program, other map, other sidecar, other version, port taken",
    of: ConflictError,
  },
  { code: 126, meaning: "exec: the command is not executable", of: NotExecutableError },
  { code: 127, meaning: "exec: there is no such command", of: CommandNotFoundError },
] as const;

/** The exit code for an error. */
export function exitCode(error: unknown): number {
  return EXIT.find((entry) => "of" in entry && error instanceof entry.of)?.code ?? 1;
}
