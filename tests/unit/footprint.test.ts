/** How a group grows with CPUs and slots; tests/kernel/budget.test.ts compares it with the kernel's word. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { groupEntries, LAYOUT } from "../../loader/abi.ts";
import { groupBytes, mapBytes, scrapeBytes } from "../bench/footprint.ts";

const KIB = 1024;

test("only what new connections are counted in grows with the CPUs", () => {
  for (const slots of [64, 1024]) {
    const { counters } = groupEntries(slots);
    for (const cpus of [1, 2, 128, 1024]) {
      const more = groupBytes(slots, cpus) - groupBytes(slots, 1);
      assert.equal(more, counters * 8 * (cpus - 1));
      assert.equal(mapBytes("counters", slots, cpus), counters * 8 * (cpus + 1));
      assert.equal(scrapeBytes(slots, cpus) - scrapeBytes(slots, 1), more);
    }
  }
});

test("a group of eight listeners on 128 CPUs takes a tenth of a MiB", () => {
  assert.ok(groupBytes(64, 2) < 32 * KIB);
  assert.ok(groupBytes(64, 128) < 110 * KIB);
  assert.ok(scrapeBytes(64, 128) < 100 * KIB);
});

test("a plan of the largest group is written in lines that are all within its map", () => {
  const { plans, slots } = groupEntries(1024);
  assert.equal(plans * LAYOUT.rm_line.size, 2 * (3 * 64 + 3 * slots * 2));
});
