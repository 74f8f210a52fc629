/** What a standby does next, situation by situation. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HOLD_BUCKETS } from "../../loader/core/abi.ts";
import { leftMs, nextStep, type Situation } from "../../loader/core/hold_step.ts";
import {
  addEnded,
  decodeHoldCounts,
  decodeStandby,
  encodeHoldCounts,
  encodeStandby,
} from "../../loader/group/hold_record.ts";

const NOW = 1_000_000;
const hold = { timeMs: 10_000, max: 100 };
const step = (s: Partial<Situation>) =>
  nextStep({
    hold,
    targets: 0,
    left: false,
    standby: "listens",
    waiting: 0,
    heldSinceMs: null,
    nowMs: NOW,
    ...s,
  });

describe("beside targets", () => {
  const targets = 2;
  test("a standby is opened, and opened again when somebody shut it down", () => {
    assert.deepEqual(step({ targets, standby: "none" }), { standby: "open" });
    assert.deepEqual(step({ targets, standby: "deaf" }), { standby: "open" });
  });
  test("it is left alone while it has nothing", () => {
    assert.deepEqual(step({ targets }), { standby: "keep" });
  });
  test("what came to it between two servers is moved at once, which is no hold", () => {
    assert.deepEqual(step({ targets, waiting: 1 }), { standby: "renew" });
  });
  test("a hold ends with the hand-over, also when nobody waits", () => {
    const handedOver = { standby: "renew", ends: "handed_over" };
    assert.deepEqual(step({ targets, heldSinceMs: NOW - 50 }), handedOver);
    assert.deepEqual(step({ targets, heldSinceMs: NOW - 50, waiting: 3 }), handedOver);
  });
  test("also when its time was up at the same moment: handing over is better", () => {
    const late = NOW - hold.timeMs - 1;
    assert.deepEqual(step({ targets, heldSinceMs: late }), {
      standby: "renew",
      ends: "handed_over",
    });
  });
  test("what a killed sidecar held is not called handed over", () => {
    const late = { targets, heldSinceMs: NOW - 50, standby: "none" } as const;
    assert.deepEqual(step(late), { standby: "open", ends: "expired" });
    assert.deepEqual(step({ ...late, standby: "deaf" }), { standby: "open", ends: "released" });
  });
});

describe("without a target", () => {
  test("a hold begins", () => {
    assert.deepEqual(step({}), { standby: "keep", starts: true });
  });
  test("it goes on until its time is up", () => {
    assert.deepEqual(step({ heldSinceMs: NOW - hold.timeMs + 1 }), { standby: "keep" });
    assert.deepEqual(step({ heldSinceMs: NOW - hold.timeMs }), {
      standby: "close",
      ends: "expired",
    });
  });
  test("a standby that was shut down was released", () => {
    assert.deepEqual(step({ heldSinceMs: NOW - 50, standby: "deaf" }), {
      standby: "close",
      ends: "released",
    });
  });
  test("nothing is opened for a server that never was, or is gone for good", () => {
    assert.deepEqual(step({ standby: "none" }), { standby: "keep" });
    assert.deepEqual(step({ standby: "deaf" }), { standby: "close" });
  });
  test("a hold begins late where the last listener left while no sidecar lived", () => {
    const late = { standby: "none", left: true } as const;
    assert.deepEqual(step(late), { standby: "open", starts: true });
    assert.deepEqual(step({ ...late, heldSinceMs: NOW - 10_000 }), {
      standby: "close",
      ends: "expired",
    });
    assert.deepEqual(step({ ...late, standby: "deaf" }), { standby: "close" });
  });
  test("a new sidecar holds again for what is left, and not beyond", () => {
    const killed = { standby: "none", heldSinceMs: NOW - 4_000 } as const;
    assert.deepEqual(step(killed), { standby: "open" });
    assert.deepEqual(step({ ...killed, heldSinceMs: NOW - 10_000 }), {
      standby: "close",
      ends: "expired",
    });
  });
});

test("what is left of a hold is never negative", () => {
  assert.equal(leftMs(hold, NOW - 2_800, NOW), 7_200);
  assert.equal(leftMs(hold, NOW - 28_000, NOW), 0);
});

test("holds and the standby survive the way to the map and back", () => {
  const none = decodeHoldCounts(Buffer.alloc(1024));
  let holds = { ...none, started: 3 };
  holds = { ...holds, ...addEnded(holds, "handed_over", 250) };
  holds = { ...holds, ...addEnded(holds, "expired", 10_001) };
  holds = { ...holds, ...addEnded(holds, "released", 1_000_000) };
  assert.deepEqual(decodeHoldCounts(encodeHoldCounts(holds)), holds);
  assert.equal(holds.sumMs, 1_010_251);
  assert.deepEqual(
    holds.buckets.map((count, i) => [HOLD_BUCKETS[i], count]).filter(([, count]) => count),
    [
      [0.25, 1],
      [30, 1],
    ],
  );
  const standby = {
    cookie: 2n ** 63n + 1n,
    heldSinceMs: 1_700_000_000_000,
    options: { SO_KEEPALIVE: "01000000", TCP_CONGESTION: "63756269630000000000000000000000" },
  };
  assert.deepEqual(decodeStandby(encodeStandby(standby)), standby);
  const empty = { cookie: 0n, heldSinceMs: null, options: {} };
  assert.deepEqual(decodeStandby(Buffer.alloc(2048)), empty);
});
