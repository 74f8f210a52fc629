/** Floods a port with SYNs by hping3, each from another source port. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

/** How long hping3 takes to reach its full rate. */
const WARM_UP_MS = 30;

/** Floods one port of the loopback device and runs `measure` at full rate. */
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
