/** `exec` without --restart: one start, whose signals are passed on. */
import type { Env } from "../env.ts";
import { Child, exitCodeOf } from "../process/child.ts";
import { PASSED, TYPED } from "../process/signals.ts";
import { type ExecContext, SUPERVISE_POLL_MS } from "./context.ts";
import { listensOn } from "./progress.ts";

/** Runs the server once; returns the exit code. */
export async function runOnce(env: Env, run: ExecContext): Promise<number> {
  const child = new Child(run.command, run.cgroup.child("start-1"), env.vars);
  const unsubscribe = env.onSignals(PASSED, (name) => {
    if (!(env.terminal && TYPED.has(name))) child.signal(name);
  });
  // A signal may have come before the handler was set.
  if (env.stop.aborted) child.signal(env.stop.reason);
  let isWaiting = true;
  const poll = env.vars["NOTIFY_SOCKET"] ? setInterval(look, SUPERVISE_POLL_MS) : undefined;
  async function look(): Promise<void> {
    if (!(await listens(run, child)) || !isWaiting) return;
    isWaiting = false;
    clearInterval(poll);
    run.notify("READY=1");
  }
  try {
    return exitCodeOf(await child.ended);
  } finally {
    isWaiting = false;
    clearInterval(poll);
    unsubscribe();
  }
}

async function listens({ sidecar }: ExecContext, { cgroup }: Child): Promise<boolean> {
  try {
    return listensOn(await sidecar.status(), cgroup).size > 0;
  } catch {
    return false; // the sidecar logs the error; the next poll reads again
  }
}
