/** Calls of the lab and their replies, over an IPC channel. Types only. */
import type { Wait } from "../sys/blocking_wait.ts";

/** Outcomes of a batch of clients. */
export interface Tally {
  /** Got their own line back. */
  readonly served: number;
  /** Why the rest were lost, each reason once: `ECONNRESET`, ... */
  readonly lost: readonly string[];
}

/** A sleeper is `woken` by a connection, `asleep` in its call, or `awake`: about to return. */
export type Sleep = "woken" | "asleep" | "awake" | "unknown";

export interface Opened {
  readonly fd: number;
  readonly port: number;
  readonly cookie: bigint;
}

/** Name -> argument and result. */
export interface Calls {
  /** Opens a listener with SO_REUSEPORT on 127.0.0.1; port 0: any. `defer`: TCP_DEFER_ACCEPT. */
  readonly open: [{ port: number; defer: boolean }, Opened];
  /** Connects a batch of clients; returns its number when all are connected. */
  readonly connect: [{ port: number; count: number }, number];
  /** Has each client of a batch send its line. */
  readonly talk: [{ batch: number }, null];
  /** Closes a listener, and has a batch talk at the same moment. */
  readonly close: [{ fd: number; batch?: number }, null];
  /** Accepts all connections from now on, and echoes their lines. */
  readonly serve: [{ fd: number }, null];
  /** Returns the outcomes of a batch, once all are known. */
  readonly tally: [{ batch: number }, Tally];
  /** Makes the lab traceable only with CAP_SYS_PTRACE, or as before. */
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
 * Network namespace of the lab (argument of lab_main.js): one it makes, the one it was started in,
 * or that of its parent.
 */
export type Whereabouts = "new" | "inside" | "here";
