/**
 * Argument checks in front of native code: koffi truncates numbers silently and takes a small
 * integer as a pointer. Each function returns its value, or throws a RangeError.
 */

function integer(what: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${what} must be an integer from ${min} to ${max}, not ${value}`);
  }
  return value;
}

/** Checks a file descriptor. */
export const fd = (value: number): number => integer("a file descriptor", value, 0, 0x7fffffff);
/** Checks a process id. */
export const pid = (value: number): number => integer("a process id", value, 1, 0x7fffffff);
/** Checks an unsigned 32-bit number. */
export const uint32 = (what: string, value: number): number => integer(what, value, 0, 0xffffffff);
/** Checks a signed 32-bit number, C's int. */
export const int = (what: string, value: number): number =>
  integer(what, value, -0x80000000, 0x7fffffff);
/** Checks a TCP port; 0 means any free one. */
export const portOrAny = (value: number): number => integer("a port", value, 0, 65535);
/** Checks the TCP port of a listener. */
export const port = (value: number): number => integer("a port", value, 1, 65535);

/** Checks that C code can read or fill `size` bytes of a buffer. */
export function buffer(what: string, value: Buffer, size: number): Buffer {
  if (value.length < size) {
    throw new RangeError(`${what} needs ${size} bytes, not ${value.length}`);
  }
  return value;
}
