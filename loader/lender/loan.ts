/**
 * Messages between this process and its lender: the twin of lender.h. tests/ffi/loan.test.ts
 * compares every line with the header. Pure.
 */
import { array, bytes, oneOf, Struct, u32, u64 } from "../core/struct.ts";

/** The most operations of a request. */
export const LOAN_OPERATIONS = 40;
/** The most bytes of a result. */
export const LOAN_DATA = 32;

/** What the lender does with a socket, in the order of enum rm_loan_kind. */
export const LOAN_KINDS = [
  "getsockopt",
  "setsockopt",
  "setsockopt_fd",
  "shutdown",
  "place",
  "take",
  "netns",
] as const;

const operation = new Struct({ kind: oneOf(u32, LOAN_KINDS), level: u32, name: u32, value: u32 });
const result = new Struct({ error: u32, length: u32, data: bytes(LOAN_DATA) });
const structField = (size: number, alignment: number) => ({ ...bytes(size), alignment });
const request = new Struct({
  cookie: u64,
  pid: u32,
  fd: u32,
  count: u32,
  pad: u32,
  operations: array(structField(operation.size, 4), LOAN_OPERATIONS),
});
const reply = new Struct({
  error: u32,
  count: u32,
  results: array(structField(result.size, 4), LOAN_OPERATIONS),
});

/** Sizes and offsets, for the comparison with C. */
export const LOAN_LAYOUT = {
  rm_loan_operation: operation,
  rm_loan_request: request,
  rm_loan_result: result,
  rm_loan_reply: reply,
} as const;
/** Size of the longest reply, bytes. */
export const REPLY_SIZE = reply.size;

/** One system call on a socket; lender.h says what `level`, `name` and `value` mean. */
export interface Operation {
  readonly kind: (typeof LOAN_KINDS)[number];
  readonly level?: number;
  readonly name?: number;
  readonly value?: number;
}

/** The result of one operation. */
export interface LoanResult {
  /** errno, or 0. */
  readonly error: number;
  /** What getsockopt(2) returned. */
  readonly data: Buffer;
}

export interface Reply {
  /** errno of duplicating the descriptor, or 0. */
  readonly error: number;
  readonly results: readonly LoanResult[];
}

/** @param from the descriptor of another process, and the cookie of the socket it should be */
export function encodeLoan(
  { cookie, pid, fd }: { readonly cookie: bigint; readonly pid: number; readonly fd: number },
  operations: readonly Operation[],
): Buffer {
  if (operations.length > LOAN_OPERATIONS) throw new RangeError(`${operations.length} operations`);
  const encoded = operations.map(({ kind, level = 0, name = 0, value = 0 }) =>
    operation.encode({ kind, level, name, value }),
  );
  const count = operations.length;
  const whole = request.encode({ cookie, pid, fd, count, operations: encoded });
  return whole.subarray(0, request.members.operations + count * operation.size);
}

export function decodeLoan(message: Buffer): Reply {
  const count = message.readUInt32LE(reply.members.count);
  const results = Array.from({ length: count }, (_, i) => {
    const { error, length, data } = result.decode(message, reply.members.results + i * result.size);
    return { error, data: data.subarray(0, length) };
  });
  return { error: message.readUInt32LE(reply.members.error), results };
}
