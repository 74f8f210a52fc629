/** What a lab can be asked to do, and what it answers: both ends of one IPC channel. Types only. */
import type { Wait } from "../sys/blocking_wait.ts";

/** What became of a batch of clients. */
export interface Tally {
  /** Got their own line back. */
  readonly served: number;
  /** How the others were lost, each once: `ECONNRESET`, ... */
  readonly lost: readonly string[];
}

/** A sleeper is `woken` by a connection, `asleep` in its call, or `awake`: on its way out of it. */
export type Sleep = "woken" | "asleep" | "awake" | "unknown";

export interface Opened {
  readonly fd: number;
  readonly port: number;
  readonly cookie: bigint;
}

/** Name -> argument and answer. */
export interface Calls {
  /** Opens a listener with SO_REUSEPORT on 127.0.0.1; port 0: any. `defer`: TCP_DEFER_ACCEPT. */
  readonly open: [{ port: number; defer: boolean }, Opened];
  /** Connects a batch of clients; returns its number when all are connected. */
  readonly connect: [{ port: number; count: number }, number];
  /** Has each client of a batch send its line. */
  readonly talk: [{ batch: number }, null];
  /** Closes a listener, and in the same breath has a batch talk. */
  readonly close: [{ fd: number; batch?: number }, null];
  /** Accepts everything from now on, and sends every line back. */
  readonly serve: [{ fd: number }, null];
  /** What became of a batch, when it is known. */
  readonly tally: [{ batch: number }, Tally];
  /** Whether only CAP_SYS_PTRACE lets anybody look into the lab. */
  readonly hide: [{ hidden: boolean }, null];
  /** Has a thread wait at a listener. */
  readonly wait: [{ fd: number; how: Wait }, null];
  readonly sleep: [{ fd: number }, Sleep];
}

export type CallName = keyof Calls;
export interface LabRequest {
  readonly id: number;
  readonly name: CallName;
  readonly argument: unknown;
}
export type LabReply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string };
/** The lab's first words: its network namespace (inode number), or why it has none. */
export type Greeting =
  | { readonly netns: number }
  | { readonly code: string; readonly error: string };

/**
 * Argument of lab_main.js, where it is to be: in a network namespace it makes, in one it was
 * started in, or where its parent is.
 */
export type Whereabouts = "new" | "inside" | "here";
