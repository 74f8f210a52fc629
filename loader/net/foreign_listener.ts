/** Operations on listeners of other processes, and what their results mean. */
import { constants } from "node:os";
import type { Listener } from "../core/listener.ts";
import { hasCode } from "../errors.ts";
import { borrow } from "../lender/lender.ts";
import type { LoanResult, Operation } from "../lender/loan.ts";
import { checkRet } from "../sys/check.ts";
import * as libc from "../sys/libc.ts";
import { acceptQueueFrom, TCP_INFO_SIZE } from "./accept_queue.ts";
import {
  KEYS,
  NO_SUCH_OPTION,
  optionQueries,
  type SocketOptions,
  socketOptionsFrom,
} from "./socket_options.ts";

const NO_RESULT: LoanResult = { error: constants.errno.EIO, data: Buffer.alloc(0) };

/** getsockopt(2) of at most LOAN_DATA bytes. */
export function readOption(level: number, name: number, size: number): Operation {
  return { kind: "getsockopt", level, name, value: size };
}

/** Returns a result's bytes. @throws SysError */
export function bytesOf(result: LoanResult | undefined): Buffer {
  const { error, data } = result ?? NO_RESULT;
  checkRet("getsockopt", -error);
  return data;
}

/** Reads the options of a listener that is not ours; undefined if no owner lends it. */
export function socketOptionsOf(listener: Listener): SocketOptions | undefined {
  const { family } = listener.key;
  const queries = optionQueries(family).map(({ level, name, size }) =>
    readOption(level, name, size),
  );
  const answers = borrow(listener, queries)?.map(bytesOrNull);
  if (!answers) return undefined;
  const keys = listener.keyed ? { [KEYS]: "01" } : {};
  return { ...socketOptionsFrom(answers, family), ...keys };
}

function bytesOrNull(result: LoanResult): Buffer | null {
  try {
    return bytesOf(result);
  } catch (error) {
    if (hasCode(error, ...NO_SUCH_OPTION)) return null;
    throw error;
  }
}

const READ_QUEUE = readOption(libc.IPPROTO_TCP, libc.TCP_INFO, TCP_INFO_SIZE);

/** Returns the length of a listener's accept queue; undefined if no owner lends it. */
export function queueLengthOf(listener: Listener): number | undefined {
  const results = borrow(listener, [READ_QUEUE]);
  return results && acceptQueueFrom(bytesOf(results[0])).length;
}

/**
 * Shuts a listener of another process down: it leaves LISTEN at once, and its connections migrate
 * to the group's other listeners, or are reset. Returns the length of its accept queue just before;
 * null if no owner lends it any longer, or it was shut down already.
 */
export function shutDown(listener: Listener): number | null {
  const [info, done] =
    borrow(listener, [READ_QUEUE, { kind: "shutdown", value: libc.SHUT_RDWR }]) ?? [];
  if (!info || !done) return null;
  const { listens, length } = acceptQueueFrom(bytesOf(info));
  if (!listens) return null;
  checkRet("shutdown", -done.error);
  return length;
}
