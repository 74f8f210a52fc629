/** `exec` without --restart: one start, whose signals are passed on. */
import type { Env } from "../env.ts";
import { durationText } from "../options/values.ts";
import { exitCodeOf } from "../process/child.ts";
import { PassedSignals } from "../process/signals.ts";
import { ENDING, type ExecContext, SUPERVISE_POLL_MS } from "./context.ts";
import { listensOn } from "./progress.ts";
import { Server } from "./server_start.ts";

/** Runs the server once; returns the exit code. */
export async function runOnce(env: Env, run: ExecContext): Promise<number> {
  let isStopping = env.stop.aborted && env.stop.reason !== "SIGHUP";
  const unsubscribe = env.onSignals(ENDING, () => {
    isStopping = true;
  });
  const server = new Server(run, 1, env.vars, {
    hasListened: () => hasBound(run),
    isStopping: () => isStopping,
  });
  using signals = new PassedSignals(env, (name) => server.signal(name));
  const poll = env.vars["NOTIFY_SOCKET"] ? setInterval(look, SUPERVISE_POLL_MS) : undefined;
  const late = setTimeout(explain, run.timeouts.startTimeoutMs);
  let isOver = false;
  async function look(): Promise<void> {
    if (!(await listens(run, server)) || isOver) return;
    isOver = true;
    clearInterval(poll);
    run.manager.ready();
  }
  function explain(): void {
    const text = server.elsewhere();
    const time = durationText(run.timeouts.startTimeoutMs);
    if (text !== null) run.say("warn", `after ${time}: ${text}`);
  }
  try {
    const code = exitCodeOf(await Promise.race([server.ended, signals.refused]));
    run.manager.stopping();
    if (!isStopping && !(await hasBound(run))) sayUnheard(run);
    return code;
  } finally {
    isOver = true;
    clearInterval(poll);
    clearTimeout(late);
    unsubscribe();
  }
}

async function listens({ sidecar }: ExecContext, { cgroup }: Server): Promise<boolean> {
  try {
    return listensOn(await sidecar.status(), cgroup).size > 0;
  } catch {
    return false; // the sidecar logs the error; the next poll reads again
  }
}

/**
 * Returns whether the server ever asked for a port of a SPEC. The adoption counts each such bind, so
 * that a server is not missed that listened for a moment; yes if it cannot be read.
 */
async function hasBound({ sidecar }: ExecContext): Promise<boolean> {
  const status = await sidecar.status().catch(() => null);
  if (status === null || status.groups.length > 0) return true;
  return status.adoptions.some(({ ports }) =>
    ports.some(({ binds, failed }) => binds + failed > 0),
  );
}

function sayUnheard({ specs, say }: ExecContext): void {
  say("warn", `the server has ended, and did not listen on ${specs.map((s) => s.text).join(", ")}`);
}
