/**
 * The process of {@link LoadClient}: reports the end of the first connection, and its {@link
 * LoadResult} at the end.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Loss, noVisits, visit } from "./client.ts";
import type { Load, LoadResult } from "./client_load.ts";

const TICK_MS = 5;
const {
  port,
  ports = [],
  hosts = ["127.0.0.1"],
  rate,
  concurrency,
  limit,
} = JSON.parse(process.argv[2] ?? "") as Load;
const all = [port, ...ports];
const tally = noVisits();
const losses: Loss[] = [];
let stopping = false;
let opened = 0;
let pending = 0;

const more = () => !stopping && opened < limit && pending < concurrency;

async function open(): Promise<void> {
  pending++;
  const host = hosts[opened % hosts.length] as string;
  const to = all[Math.floor(opened / hosts.length) % all.length] as number;
  const path = `/load/${process.pid}/${opened++}`;
  const kind = await visit({ port: to, host, path, onLoss: (loss) => losses.push(loss) });
  pending--;
  tally[kind]++;
}

/** Opens one connection after the other, without a pause. */
async function saturate(): Promise<void> {
  while (more()) await open();
}

/** Opens `perSecond` connections per second at most: a delay is not made up for. */
async function pace(perSecond: number): Promise<void> {
  let last = performance.now();
  for (let due = 0; !stopping && opened < limit; await sleep(TICK_MS)) {
    const now = performance.now();
    due = Math.min(concurrency, due + ((now - last) * perSecond) / 1000);
    last = now;
    for (; due >= 1 && more(); due--) void open();
  }
}

process.on("disconnect", () => process.exit());
process.on("message", async () => {
  stopping = true;
  while (pending > 0) await sleep(TICK_MS);
  process.send?.({ tally, losses } satisfies LoadResult, () => process.exit());
});

await open();
process.send?.("started");
if (rate) await pace(rate);
else await Promise.all(Array.from({ length: concurrency }, saturate));
