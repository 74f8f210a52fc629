/**
 * Exit codes, one for each class of errors. `--help` and docs/COMMANDS.md print this table. exec
 * and run otherwise exit with the code of their command.
 */
import {
  ConflictError,
  NoMatchError,
  NotSupportedError,
  PermissionError,
  UsageError,
} from "../../loader/errors.ts";
import { CommandNotFoundError, NotExecutableError } from "./spec_command.ts";

/** A verdict, not an error: the command succeeded, and connections were lost. */
export const TOO_MANY_LOST = 3;
/** The code of NoMatchError, for a command that still prints what it found. */
export const NOTHING_MATCHES = 4;

export const EXIT = [
  { code: 0, meaning: "success" },
  { code: 1, meaning: "an unexpected failure" },
  { code: 2, meaning: "wrong usage: SPEC, option or argument", of: UsageError },
  { code: TOO_MANY_LOST, meaning: "run: more connections were lost than --max-lost allows" },
  { code: NOTHING_MATCHES, meaning: "no listener, or nothing attached, matches", of: NoMatchError },
  { code: 5, meaning: "not permitted: not root, or a capability is missing", of: PermissionError },
  {
    code: 6,
    meaning: "not supported on this host: kernel, BTF, bpffs or libbpf",
    of: NotSupportedError,
  },
  {
    code: 7,
    meaning: "conflict: another program, map, sidecar or version, or a port that is taken",
    of: ConflictError,
  },
  { code: 126, meaning: "exec, run: the command is not executable", of: NotExecutableError },
  { code: 127, meaning: "exec, run: the command does not exist", of: CommandNotFoundError },
] as const;

/** Returns the exit code for an error. */
export function exitCode(error: unknown): number {
  return EXIT.find((entry) => "of" in entry && error instanceof entry.of)?.code ?? 1;
}
