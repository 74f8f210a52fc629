/** Slices of long work: whether the event loop turns between them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TimeSlices } from "../../loader/time_slices.ts";

/** Returns how often the event loop turned during `steps` steps of `ms` each. */
async function turnsDuring(steps: number, ms: number): Promise<number> {
  let turns = 0;
  let isRunning = true;
  const turn = () => {
    turns++;
    if (isRunning) setImmediate(turn);
  };
  setImmediate(turn);
  const slices = new TimeSlices();
  for (let step = 0; step < steps; step++) {
    for (const untilMs = performance.now() + ms; performance.now() < untilMs; );
    await slices.between();
  }
  isRunning = false;
  return turns;
}

test("the event loop turns once a slice", async () => {
  const turns = await turnsDuring(20, 6); // two steps are a slice
  assert.ok(turns >= 8, String(turns));
});

test("work shorter than a slice is not interrupted", async () => {
  const turns = await turnsDuring(1_000, 0);
  assert.ok(turns < 100, String(turns));
});
