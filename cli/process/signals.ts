/** Signals that a command in the foreground gets. */
import type { ChildProcess } from "node:child_process";
import { PermissionError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";

/** Signals that are passed on to the command. */
export const PASSED = [
  "SIGTERM",
  "SIGINT",
  "SIGHUP",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGWINCH",
  "SIGCONT",
] as const;

/** Signals that a terminal sends to all its foreground processes: the command has them already. */
export const TYPED: ReadonlySet<NodeJS.Signals> = new Set(["SIGINT", "SIGQUIT", "SIGWINCH"]);

/**
 * Sends a signal to a child that runs.
 * @throws PermissionError if it runs as another user, and this process lacks CAP_KILL
 */
export function sendSignal(child: ChildProcess, name: NodeJS.Signals): void {
  let refused: unknown;
  const note = (error: unknown) => {
    refused = error;
  };
  child.once("error", note);
  child.kill(name); // emits the error before it returns
  child.off("error", note);
  if (refused === undefined) return;
  const { code, message } = refused as NodeJS.ErrnoException;
  const what = `${name} cannot be sent to process ${child.pid}`;
  if (code !== "EPERM") throw new Error(`${what}: ${message}`, { cause: refused });
  throw new PermissionError("CAP_KILL", `${what}: it runs as another user; grant CAP_KILL`, {
    cause: refused,
  });
}

/** Calls `reject` with the error of a child that could not be started; see {@link sendSignal}. */
export function onStartError(child: ChildProcess, reject: (error: unknown) => void): void {
  child.on("error", (error: NodeJS.ErrnoException) => {
    if (error.syscall !== "kill") reject(error);
  });
}

/** Passes signals on to a command until it is disposed. */
export class PassedSignals implements Disposable {
  /** Rejected once a signal cannot be sent. */
  readonly refused: Promise<never>;
  readonly #unsubscribe: () => void;

  /** @param send throws as {@link sendSignal} */
  constructor(env: Env, send: (name: NodeJS.Signals) => void) {
    let refuse: (error: unknown) => void = () => {};
    this.refused = new Promise((_, reject) => {
      refuse = reject;
    });
    this.refused.catch(() => {}); // the command may end first
    const pass = (name: NodeJS.Signals) => {
      try {
        send(name);
      } catch (error) {
        refuse(error);
      }
    };
    this.#unsubscribe = env.onSignals(PASSED, (name) => {
      if (!(env.terminal && TYPED.has(name))) pass(name);
    });
    // A signal may have come before the handler was set.
    if (env.stop.aborted) pass(env.stop.reason);
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
  }
}
