/** Ends what a server leaves behind: processes that outlived the one we started. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ServerCgroup } from "../../loader/host/server_cgroup.ts";

const POLL_MS = 10;
/** SIGKILL takes effect when the kernel gets to it. */
const KILLED_MS = 5_000;

/** SIGTERM to every process of the cgroup, SIGKILL to those that are there after `timeoutMs`; then removes it. */
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
