/** The process behind client_load.ts: a {@link Load} comes in, "started" and at the end a {@link Tally} go out. */
import { setTimeout as sleep } from "node:timers/promises";
import { noVisits, visit } from "./client.ts";
import type { Load } from "./client_load.ts";

const TICK_MS = 5;
const tally = noVisits();
let stopping = false;
let opened = 0;
let pending = 0;

async function open(port: number, next: () => void): Promise<void> {
  pending++;
  const kind = await visit({ port, path: `/load/${process.pid}/${opened++}` });
  if (tally.ok + tally.reset + tally.refused === 0) process.send?.("started");
  tally[kind]++;
  pending--;
  next();
}

async function run({ port, rate, concurrency, limit }: Load): Promise<void> {
  const more = () => !stopping && opened < limit && pending < concurrency;
  // Without a rate, every connection that ends is followed by another at once.
  const refill = () => {
    if (rate === Number.POSITIVE_INFINITY) while (more()) void open(port, refill);
  };
  refill();
  for (let due = 0, last = performance.now(); !stopping && opened < limit; await sleep(TICK_MS)) {
    const now = performance.now();
    // What cannot be opened now is not made up for later: the rate is an upper bound.
    due = Math.min(concurrency, due + ((now - last) * rate) / 1000);
    last = now;
    for (; due >= 1 && more() && rate !== Number.POSITIVE_INFINITY; due--)
      void open(port, () => {});
  }
}

process.on("disconnect", () => process.exit());
process.on("message", async (message: Load | "stop") => {
  if (message !== "stop") return run(message);
  stopping = true;
  while (pending > 0) await sleep(TICK_MS);
  process.send?.(tally, () => process.exit());
});
