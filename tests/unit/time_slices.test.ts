/** Work in steps: its result, and turns of the event loop meanwhile. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { atOnce, inSlices } from "../../loader/time_slices.ts";

/** Each step takes `ms` of the processor. */
function* working(
  steps: number,
  ms: number,
  ended: () => void = () => {},
): Generator<void, string> {
  try {
    for (let step = 0; step < steps; step++) {
      const untilMs = performance.now() + ms;
      while (performance.now() < untilMs);
      yield;
    }
    return "done";
  } finally {
    ended();
  }
}

test("at once and in slices have the same result", async () => {
  assert.equal(atOnce(working(3, 0)), "done");
  assert.equal(await inSlices(working(3, 0)), "done");
});

test("the event loop gets turns between slices, and none at once", async () => {
  let turns = 0;
  let running = true;
  const turn = () => {
    turns++;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  atOnce(working(20, 6));
  assert.equal(turns, 0);
  await inSlices(working(20, 6)); // two steps are a slice
  running = false;
  assert.ok(turns >= 8, String(turns));
});

test("an error ends the work and runs its finally blocks", async () => {
  let ended = 0;
  function* failing(): Generator<void, string> {
    yield* working(1, 0, () => ended++);
    throw new Error("no");
  }
  assert.throws(() => atOnce(failing()), /no/);
  await assert.rejects(inSlices(failing()), /no/);
  assert.equal(ended, 2);
});

test("each step's value is passed on, in order", async () => {
  function* counting(): Generator<number, string> {
    for (let n = 0; n < 3; n++) yield n;
    return "done";
  }
  const told: number[] = [];
  const tell = (n: number) => {
    told.push(n);
  };
  assert.equal(atOnce(counting(), tell), "done");
  assert.equal(await inSlices(counting(), tell), "done");
  assert.deepEqual(told, [0, 1, 2, 0, 1, 2]);
});
