/**
 * The keeper of this process: has a second descriptor of every standby, so that they survive us
 * (keeper.c). A standby that must close is dropped here first.
 */
import { fileURLToPath } from "node:url";
import { hasCode } from "../errors.ts";
import { Owned } from "../owned.ts";
import { checkRet } from "../sys/check.ts";
import { type HelperProgram, startHelper } from "../sys/helper_program.ts";
import { close } from "../sys/libc.ts";
import { recvmsg, sendmsg, waitReadable } from "../sys/unix_socket.ts";
import { type KEEP_KINDS, KEEP_REQUEST } from "./kept.ts";

const PROGRAM = fileURLToPath(new URL("./keeper", import.meta.url));
/** A reply takes 0.1 ms; a keeper that gives none is replaced. */
const REPLY_MS = 1_000;
/** Starts of a keeper for one request: another process may kill it. */
const MAX_STARTS = 2;

interface Kept {
  readonly fd: number;
  readonly patienceMs: number;
}

/** What the keeper should have, by cookie: a new one gets all of it. */
const kept = new Map<bigint, Kept>();
let keeper: HelperProgram | null = null;

/**
 * Keeps a socket.
 * @param fd stays open, and its caller's
 * @param patienceMs how long it is kept once this process is gone
 */
export function keep(cookie: bigint, fd: number, patienceMs: number): void {
  using own = new Owned();
  own.defer(() => kept.delete(cookie)); // the number may soon be another file's
  kept.set(cookie, { fd, patienceMs });
  request("keep", cookie);
  own.release(cookie);
}

/** Drops a socket, which is about to close. */
export function drop(cookie: bigint): void {
  if (!kept.delete(cookie)) return;
  request("drop", cookie);
  if (kept.size === 0) end();
}

function request(kind: (typeof KEEP_KINDS)[number], cookie: bigint): void {
  for (let starts = 0; starts < MAX_STARTS; starts++) {
    if (keeper === null) {
      begin(); // it gets everything that is left, this request included
      return;
    }
    if (send(keeper, kind, cookie)) return;
    end();
  }
}

function begin(): void {
  if (kept.size === 0) return;
  keeper = startHelper(PROGRAM);
  for (const cookie of kept.keys()) {
    if (!send(keeper, "keep", cookie)) throw new Error("the keeper process ends without a reply");
  }
}

/** Returns false if the keeper is gone. */
function send(
  { socket }: HelperProgram,
  kind: (typeof KEEP_KINDS)[number],
  cookie: bigint,
): boolean {
  const { fd, patienceMs: patience_ms } = kept.get(cookie) ?? { fd: -1, patienceMs: 0 };
  try {
    const message = KEEP_REQUEST.encode({ cookie, kind, patience_ms });
    sendmsg(socket, message, kind === "keep" ? [fd] : []);
    if (!waitReadable(socket, REPLY_MS)) return false;
    const reply = recvmsg(socket, 4);
    if (!reply || reply.data.length < 4) return false;
    checkRet("keep", -reply.data.readUInt32LE());
    return true;
  } catch (error) {
    if (hasCode(error, "EPIPE", "ECONNRESET")) return false;
    throw error;
  }
}

/** It closes what it has, as this process lives. */
function end(): void {
  if (keeper === null) return;
  keeper.child.kill("SIGKILL");
  close(keeper.socket);
  keeper = null;
}
