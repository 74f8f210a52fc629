/**
 * The errors this library throws. Each is one clear sentence: what, where, what
 * to do. `cli/process/exit.ts` maps the classes to exit codes.
 */

/** A system or libbpf call failed. Shaped like Node's own: `code`, `errno`, `syscall`. */
export class SysError extends Error {
  override name = "SysError";
  /** Errno name, such as `EPERM`. */
  readonly code: string;
  /** Positive errno. */
  readonly errno: number;
  /** The C function that failed. */
  readonly syscall: string;
  constructor(syscall: string, errno: number, code: string, text: string) {
    super(`${syscall}: ${text} (${code})`);
    this.syscall = syscall;
    this.errno = errno;
    this.code = code;
  }
}

/** The caller asked for something malformed: a SPEC, an option, a number. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Nothing that listens (or is pinned) matches. */
export class NoMatchError extends Error {
  override name = "NoMatchError";
}

/** A right this process needs is missing; `capability` names it. */
export class PermissionError extends Error {
  override name = "PermissionError";
  readonly capability: string;
  constructor(capability: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.capability = capability;
  }
}

/** The host lacks a feature: kernel, BTF, bpffs or libbpf. */
export class NotSupportedError extends Error {
  override name = "NotSupportedError";
  readonly feature: string;
  constructor(feature: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.feature = feature;
  }
}

/** The kernel's verifier or libbpf refused an object; `log` is what they printed. */
export class VerifierError extends Error {
  override name = "VerifierError";
  readonly log: string;
  constructor(object: string, log: string, options?: ErrorOptions) {
    const last = log.trimEnd().split("\n").at(-1) ?? "";
    super(`the kernel refused to load ${object}: ${last || "no log"}`, options);
    this.log = log;
  }
}

/** Somebody else has what we need: another program, map, sidecar or port. */
export class ConflictError extends Error {
  override name = "ConflictError";
}

/** The group already runs a program that is not ours. */
export class ForeignProgramError extends ConflictError {
  override name = "ForeignProgramError";
}

/** A listener is already in somebody's REUSEPORT_SOCKARRAY or sockmap. */
export class AlreadyManagedError extends ConflictError {
  override name = "AlreadyManagedError";
}

/** Owners have locked the filters of all listeners through which a program could be attached. */
export class FilterLockedError extends ConflictError {
  override name = "FilterLockedError";
}

/** A standby cannot stand by: somebody has the address, or the group takes no standby. */
export class StandbyError extends ConflictError {
  override name = "StandbyError";
}

/** Another sidecar or command holds the lock. */
export class LockedError extends ConflictError {
  override name = "LockedError";
}

/** The fd store refuses; `reason` is the one of its wire format (loader/store/protocol.ts). */
export class StoreRefusedError extends ConflictError {
  override name = "StoreRefusedError";
  readonly reason: string;
  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The fd store went away, or does not answer. */
export class StoreGoneError extends Error {
  override name = "StoreGoneError";
}

/** Pinned state was written by another version; `differences` lists all of them. */
export class AbiMismatchError extends ConflictError {
  override name = "AbiMismatchError";
  readonly differences: readonly string[];
  constructor(where: string, differences: readonly string[]) {
    super(
      `pinned state in ${where} is of another version (${differences.join("; ")}): ` +
        "run 'reuseport-migrate detach --all', then attach again",
    );
    this.differences = differences;
  }
}

/** Whether `error` is a {@link SysError} with one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): error is SysError {
  return error instanceof SysError && codes.includes(error.code);
}
