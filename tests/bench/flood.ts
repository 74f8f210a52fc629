/** SYNs from a tool nobody here wrote: hping3, as many as go, each from another source port. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

/** From its start to its full rate. */
const WARM_UP_MS = 30;

/** A flood of one port of the loopback; `measure` runs while it is at full rate. */
export async function flood<T>(port: number, measure: () => Promise<T>): Promise<T> {
  const args = ["--flood", "-q", "-n", "-S", "-p", String(port), "127.0.0.1"];
  const hping = spawn("hping3", args, { stdio: "ignore" });
  const gone = once(hping, "exit");
  try {
    await once(hping, "spawn");
    await sleep(WARM_UP_MS);
    const result = await measure();
    if (hping.exitCode !== null) throw new Error(`hping3 ended with ${hping.exitCode}`);
    return result;
  } finally {
    hping.kill("SIGKILL");
    await gone;
  }
}
