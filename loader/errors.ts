/**
 * The errors this library throws: `<what failed>: <why>; <what to do>`. cli/process/exit.ts maps
 * the classes to exit codes.
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

/** A malformed SPEC, option or number from the caller. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** A well-formed argument that names what this host does not have, or does not permit. */
export class AbsentError extends UsageError {
  override name = "AbsentError";
}

/** No listener, pinned group or name of the store matches. */
export class NoMatchError extends Error {
  override name = "NoMatchError";
}

/** This process lacks a right. */
export class PermissionError extends Error {
  override name = "PermissionError";
  /** The capability it lacks, such as `CAP_BPF`. */
  readonly capability: string;
  constructor(capability: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.capability = capability;
  }
}

/** The host lacks a feature of the kernel, BTF, bpffs, cgroup v2 or libbpf. */
export class NotSupportedError extends Error {
  override name = "NotSupportedError";
  /** What is missing, in a word or two. */
  readonly feature: string;
  constructor(feature: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.feature = feature;
  }
}

/** The kernel's verifier or libbpf refused an object. */
export class VerifierError extends Error {
  override name = "VerifierError";
  /** Their messages, one a line. */
  readonly log: string;
  constructor(object: string, log: string, options?: ErrorOptions) {
    const last = log.trimEnd().split("\n").at(-1) ?? "";
    super(`the kernel refused to load ${object}: ${last || "no log"}`, options);
    this.log = log;
  }
}

/** Another program, map, sidecar or server occupies a required resource. */
export class ConflictError extends Error {
  override name = "ConflictError";
}

/** Another program than reuseport-migrate's is attached to the group. */
export class ForeignProgramError extends ConflictError {
  override name = "ForeignProgramError";
}

/** A listener is already in another program's REUSEPORT_SOCKARRAY or sockmap. */
export class AlreadyManagedError extends ConflictError {
  override name = "AlreadyManagedError";
}

/** All listeners that could attach a program have SO_LOCK_FILTER set. */
export class FilterLockedError extends ConflictError {
  override name = "FilterLockedError";
}

/** The standby cannot be opened: its address is in use, or the group allows none. */
export class StandbyError extends ConflictError {
  override name = "StandbyError";
}

/** Calls on the listeners of a process hang. */
export class HungError extends ConflictError {
  override name = "HungError";
}

/** A limit on the number of managed groups is reached. */
export class BudgetError extends ConflictError {
  override name = "BudgetError";
}

/** Another sidecar or command holds the lock. */
export class LockedError extends ConflictError {
  override name = "LockedError";
}

/** The fd store refused a request. */
export class StoreRefusedError extends ConflictError {
  override name = "StoreRefusedError";
  /** That of its reply (loader/store/protocol.ts), such as `held` or `taken`. */
  readonly reason: string;
  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The fd store has closed the connection, or does not answer. */
export class StoreGoneError extends Error {
  override name = "StoreGoneError";
}

/** Another version pinned the state. */
export class AbiMismatchError extends ConflictError {
  override name = "AbiMismatchError";
  /** In what it differs, one phrase each. */
  readonly differences: readonly string[];
  constructor(where: string, differences: readonly string[]) {
    super(
      `the pins in ${where} are of another version of reuseport-migrate (${differences.join("; ")}): ` +
        "attach with this version, which replaces them, or detach them",
    );
    this.differences = differences;
  }
}

/** Returns whether `error` is a {@link SysError} with one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): error is SysError {
  return error instanceof SysError && codes.includes(error.code);
}

/** Returns whether a call failed because this process, or the host, has no free file descriptor. */
export function isExhausted(error: unknown): boolean {
  return ["EMFILE", "ENFILE"].includes((error as NodeJS.ErrnoException).code ?? "");
}
