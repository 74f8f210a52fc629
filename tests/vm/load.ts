/**
 * `load.js PORT PER_SECOND TIMEOUT_MS`, in the guest: short connections until SIGTERM; then waits
 * for those that are open, and prints what became of all as JSON.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Loss, noVisits, visit } from "../helpers/load/client.ts";

const TICK_MS = 20;
const [port = 0, perSecond = 0, timeoutMs = 0] = process.argv.slice(2).map(Number);
const tally = noVisits();
const losses: Loss[] = [];
let [opened, pending, isEnding] = [0, 0, false];

async function open(): Promise<void> {
  pending++;
  const path = `/${process.pid}/${opened++}`;
  tally[await visit({ port, path, timeoutMs, onLoss: (loss) => losses.push(loss) })]++;
  pending--;
}

process.on("SIGTERM", () => {
  isEnding = true;
});
await open();
process.stderr.write("started\n");
const beganMs = performance.now();
while (!isEnding) {
  // A delay is not made up for at once.
  const due = ((performance.now() - beganMs) * perSecond) / 1000 - opened;
  for (let n = 0; n < Math.min(due, perSecond / 10); n++) void open();
  await sleep(TICK_MS);
}
while (pending > 0) await sleep(TICK_MS);
process.stdout.write(`${JSON.stringify({ ...tally, first: losses[0] ?? null })}\n`);
