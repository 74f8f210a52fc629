/**
 * Argument checks in front of native code: koffi truncates numbers silently and
 * takes a small integer as a pointer, so nothing unchecked may pass.
 */
import { UsageError } from "../errors.ts";

function integer(what: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new UsageError(`${what} must be an integer from ${min} to ${max}, not ${value}`);
  }
  return value;
}

/** A file descriptor. */
export const fd = (value: number): number => integer("a file descriptor", value, 0, 0x7fffffff);
/** A process id. */
export const pid = (value: number): number => integer("a process id", value, 1, 0x7fffffff);
/** An unsigned 32-bit number. */
export const u32 = (what: string, value: number): number => integer(what, value, 0, 0xffffffff);
/** A signed 32-bit number, as C's int. */
export const int = (what: string, value: number): number =>
  integer(what, value, -0x80000000, 0x7fffffff);
/** A TCP port, or 0 for any that is free. */
export const portOrAny = (value: number): number => integer("a port", value, 0, 65535);
/** A TCP port one can listen on. */
export const port = (value: number): number => integer("a port", value, 1, 65535);

/** A buffer of at least `size` bytes, for C code that will read or fill as many. */
export function bytes(what: string, value: Buffer, size: number): Buffer {
  if (value.length < size) {
    throw new UsageError(`${what} needs ${size} bytes, not ${value.length}`);
  }
  return value;
}
