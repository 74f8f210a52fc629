/** What a standby does next, situation by situation. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HOLD_BUCKETS } from "../../loader/core/abi.ts";
import { leftMs, nextStep, type Situation } from "../../loader/core/hold_step.ts";
import {
  addConnections,
  addEnded,
  decodeHoldCounts,
  decodeStandby,
  encodeHoldCounts,
  encodeStandby,
  heldText,
} from "../../loader/group/hold_record.ts";
import { type HoldEnd, holdEndText, isLoss, UNSEEN } from "../../loader/hold/hold_event.ts";
import { whatBecame } from "../../loader/hold/standby_end.ts";

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
  test("one that would begin in the future has ended: the record is not ours", () => {
    const ended = { standby: "close", ends: "expired" };
    assert.deepEqual(step({ heldSinceMs: NOW + 1 }), ended);
    assert.deepEqual(step({ heldSinceMs: Number.MAX_SAFE_INTEGER, standby: "none" }), ended);
    const holds = addEnded(decodeHoldCounts(Buffer.alloc(1024)), "expired", NOW - 2 ** 53);
    assert.deepEqual([holds.expired, holds.sumMs, holds.buckets[0]], [1, 0, 1]);
    encodeHoldCounts(holds);
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
  assert.equal(leftMs(hold, NOW + 28_000, NOW), 0);
});

test("holds and the standby survive the way to the map and back", () => {
  const none = decodeHoldCounts(Buffer.alloc(1024));
  let holds = { ...none, started: 3 };
  holds = { ...holds, ...addEnded(holds, "handed_over", 250) };
  holds = { ...holds, ...addEnded(holds, "expired", 10_001) };
  holds = { ...holds, ...addEnded(holds, "released", 1_000_000) };
  holds = addConnections(addConnections(holds, { handed_over: 7, reset: 0 }), {
    handed_over: 1,
    reset: 2,
  });
  assert.deepEqual(holds.connections, { handed_over: 8, reset: 2 });
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

describe("what became of a standby's connections", () => {
  const seen = (length: number, halfOpen: number, hasOthers: boolean) => ({
    queues: { length, limit: 100, halfOpen },
    hasOthers,
  });
  test("the kernel runs the program for those that migrate, and for none if it resets them", () => {
    assert.deepEqual(whatBecame(5, seen(5, 0, true), 5), { handed_over: 5, reset: 0 });
    assert.deepEqual(whatBecame(5, seen(5, 0, false), 0), { handed_over: 0, reset: 5 });
    // A listener closed, or appeared, after the snapshot.
    assert.deepEqual(whatBecame(5, seen(5, 0, true), 0), { handed_over: 0, reset: 5 });
    assert.deepEqual(whatBecame(5, seen(5, 0, false), 5), { handed_over: 5, reset: 0 });
  });
  test("one that arrived while the standby closed is counted, too", () => {
    assert.deepEqual(whatBecame(5, seen(5, 0, true), 6), { handed_over: 6, reset: 0 });
  });
  test("a handshake is counted once, though it was completed after the snapshot", () => {
    assert.deepEqual(whatBecame(3, seen(3, 2, false), 0), { handed_over: 0, reset: 5 });
    assert.deepEqual(whatBecame(5, seen(3, 2, false), 0), { handed_over: 0, reset: 5 });
    assert.deepEqual(whatBecame(3, seen(3, 2, true), 3), { handed_over: 5, reset: 0 });
    assert.deepEqual(whatBecame(9, seen(3, 2, false), 0), { handed_over: 0, reset: 9 });
  });
});

describe("the sentence of an end", () => {
  const end = (change: Partial<HoldEnd>): HoldEnd => ({
    result: "expired",
    heldMs: 5_004,
    connections: { handed_over: 0, reset: 1 },
    cause: null,
    ...change,
  });
  const said = (change: Partial<HoldEnd>) => [
    isLoss(end(change)) ? "warn" : "info",
    holdEndText(end(change), 5_000),
  ];
  const none = { handed_over: 0, reset: 0 };

  test("counts, in singular and plural", () => {
    assert.equal(heldText(none), "no connection was held");
    assert.equal(heldText({ handed_over: 1, reset: 0 }), "1 held connection was handed over");
    const both = { handed_over: 3, reset: 1 };
    assert.equal(heldText(both), "3 held connections were handed over and 1 was reset");
  });
  test("is a warning if connections were reset, unless a command released them", () => {
    const expired = "no server came back within 5s";
    assert.deepEqual(said({}), ["warn", `${expired}: 1 held connection was reset`]);
    assert.deepEqual(said({ connections: none }), ["info", `${expired}: no connection was held`]);
    assert.deepEqual(said({ result: "released", connections: { handed_over: 0, reset: 2 } }), [
      "info",
      "released after 5.004 s: 2 held connections were reset",
    ]);
    assert.deepEqual(said({ result: "handed_over", connections: { handed_over: 2, reset: 0 } }), [
      "info",
      "the hold ended after 5.004 s: 2 held connections were handed over",
    ]);
  });
  test("has the cause, if the hold ended before its time", () => {
    assert.deepEqual(said({ result: "released", cause: "the sidecar ends" }), [
      "warn",
      "the sidecar ends: 1 held connection was reset",
    ]);
    assert.deepEqual(
      said({ result: null, cause: "the sidecar ends", connections: none })[0],
      "info",
    );
    assert.deepEqual(said({ cause: UNSEEN, connections: none }), ["warn", UNSEEN]);
  });
});
