/** Which processes are left alone after one hung. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Owner } from "../../loader/core/listener.ts";
import { type ProcessTenant, Quarantine } from "../../loader/lender/quarantine.ts";

const owner = (pid: number, startMs = 0): Owner => ({ pid, fd: 3, comm: "it", startMs });
const is = (tenant: ProcessTenant) => () => tenant;

test("a process is left alone for 1 s, 2 s, ... 5 min", () => {
  const quarantine = new Quarantine();
  let nowMs = 0;
  const delays: number[] = [];
  for (let times = 0; times < 12; times++) {
    quarantine.add(owner(7), 1000, nowMs);
    const beganMs = nowMs;
    while (quarantine.has(owner(7), nowMs, is(1000))) nowMs += 500;
    delays.push((nowMs - beganMs) / 1000);
  }
  assert.deepEqual(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
  quarantine.settle(owner(7));
  quarantine.add(owner(7), 1000, nowMs);
  assert.equal(quarantine.has(owner(7), nowMs + 1_000, is(1000)), false, "it began anew");
});

test("another process, also one with the same pid, is not left alone", () => {
  const quarantine = new Quarantine();
  quarantine.add(owner(7, 1), 1000, 0);
  assert.equal(quarantine.has(owner(8), 0, is(1000)), false);
  assert.equal(quarantine.has(owner(7, 2), 0, is(1000)), false);
});

test("with two of a user, every process of that user is, but not one of root", () => {
  for (const tenant of [1000, "userns", 0] as const) {
    const quarantine = new Quarantine();
    quarantine.add(owner(7), tenant, 0);
    quarantine.add(owner(8), tenant, 0);
    assert.equal(quarantine.has(owner(9), 0, is(tenant)), tenant !== 0);
    assert.equal(quarantine.has(owner(9), 0, is(1001)), false);
  }
});

test("the next process of a user is left alone as long as the last one, and longer", () => {
  const quarantine = new Quarantine();
  quarantine.add(owner(7), 1000, 0);
  quarantine.add(owner(8), 1000, 1_000);
  assert.equal(quarantine.has(owner(8), 2_999, is(1000)), true);
  assert.equal(quarantine.has(owner(8), 3_000, is(1000)), false);
  quarantine.add(owner(9), 0, 3_000);
  assert.equal(quarantine.has(owner(9), 4_000, is(0)), false, "root's are not counted together");
});

test("while the call hangs, the process is left alone", () => {
  const quarantine = new Quarantine();
  let isStuck = true;
  quarantine.add(owner(7), 1000, 0, () => isStuck);
  assert.equal(quarantine.has(owner(7), 1e9, is(1000)), true);
  assert.equal(quarantine.now(1e9).length, 1);
  isStuck = false;
  assert.equal(quarantine.has(owner(7), 1e9, is(1000)), false);
  assert.equal(quarantine.now(1e9).length, 0);
});
