/** Ends processes of a server that outlived the one we started. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ServerCgroup } from "../../loader/host/server_cgroup.ts";

const POLL_MS = 10;
/** Time for SIGKILL to take effect, ms. */
const KILLED_MS = 5_000;

/**
 * Sends SIGTERM to every process of the cgroup, after `timeoutMs` SIGKILL; then removes the cgroup.
 */
export async function clear(cgroup: ServerCgroup, timeoutMs: number): Promise<void> {
  if (!cgroup.empty) {
    cgroup.signal("SIGTERM");
    await emptied(cgroup, timeoutMs);
  }
  if (!cgroup.empty) {
    cgroup.kill();
    await emptied(cgroup, KILLED_MS);
  }
  cgroup[Symbol.dispose]();
}

async function emptied(cgroup: ServerCgroup, timeoutMs: number): Promise<void> {
  for (const until = Date.now() + timeoutMs; !cgroup.empty && Date.now() < until; ) {
    await sleep(POLL_MS);
  }
}
