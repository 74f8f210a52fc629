/** One process of lender.c: started, asked, and killed when it does not answer. */
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { hasCode } from "../errors.ts";
import { startHelper } from "../sys/helper_program.ts";
import { close } from "../sys/libc.ts";
import { type Message, recvmsg, sendmsg, waitReadable } from "../sys/unix_socket.ts";
import { REPLY_SIZE } from "./loan.ts";

const PROGRAM = fileURLToPath(new URL("./lender", import.meta.url));
/** A reply takes 0.1 ms; a helper that is blocked after this long is given up. */
const BLOCKED_MS = 200;
/** On a saturated machine it may not have run yet; it is given up after this in any case. */
const LONGEST_MS = 2_000;

/** `hung`: no reply; the process is killed. `ended`: it was killed, by another process. */
export type NoReply = "hung" | "ended";

export class HelperProcess implements Disposable {
  readonly #child: ChildProcess;
  #socket: number;
  #isReaped = false;

  /** @throws NotSupportedError if the program cannot be started; EMFILE */
  constructor() {
    const { child, socket } = startHelper(PROGRAM);
    this.#socket = socket;
    this.#child = child;
    child.once("exit", () => {
      this.#isReaped = true;
    });
  }

  /** The process is gone; one that was killed can be stuck in the kernel. */
  get isReaped(): boolean {
    return this.#isReaped;
  }

  /** Sends a request, with a descriptor unless it is null, and returns the reply. */
  ask(request: Buffer, fd: number | null): Message | NoReply {
    try {
      sendmsg(this.#socket, request, fd === null ? [] : [fd]);
      if (!this.#waitForReply()) {
        this[Symbol.dispose]();
        return "hung";
      }
      const reply = recvmsg(this.#socket, REPLY_SIZE);
      if (reply && reply.data.length > 0) return reply;
    } catch (error) {
      if (!hasCode(error, "EPIPE", "ECONNRESET")) throw error;
    }
    this[Symbol.dispose]();
    return "ended";
  }

  #waitForReply(): boolean {
    for (let waitedMs = 0; waitedMs < LONGEST_MS; waitedMs += BLOCKED_MS) {
      if (waitReadable(this.#socket, BLOCKED_MS)) return true;
      if (this.#isBlocked()) return waitReadable(this.#socket, 0);
    }
    return false;
  }

  /** Returns whether it sleeps in a system call (proc_pid_stat(5)). */
  #isBlocked(): boolean {
    try {
      const stat = readFileSync(`/proc/${this.#child.pid}/stat`, "latin1");
      return /\) [SD]/.test(stat);
    } catch {
      return false; // it has ended, which the socket shows
    }
  }

  /** Kills it. What it does not leave at once, it leaves when the call that blocks it returns. */
  [Symbol.dispose](): void {
    if (this.#socket < 0) return;
    close(this.#socket);
    this.#socket = -1;
    if (this.#child.pid !== undefined) this.#child.kill("SIGKILL");
  }
}
