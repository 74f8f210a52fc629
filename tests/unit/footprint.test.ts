/**
 * The memory of a group by CPUs and slots; tests/kernel/budget.test.ts compares it with the
 * kernel's report.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LAYOUT } from "../../loader/core/abi.ts";
import { cpuCounters, groupShapes } from "../../loader/core/map_shapes.ts";
import { groupBytes, mapBytes, scrapeBytes } from "../bench/footprint.ts";

const KIB = 1024;

test("only the counters of new connections, and a little, grow with the CPUs", () => {
  for (const slots of [64, 1024]) {
    const { control: _, plans: plansOfOne, ...others } = groupShapes(slots, 1);
    const each = cpuCounters(slots) * 8;
    assert.equal(each % 64, 0);
    for (const cpus of [1, 2, 128, 1024]) {
      const { control, plans, ...same } = groupShapes(slots, cpus);
      assert.deepEqual(same, others);
      // 4 bytes a CPU in each of two plans, in lines of 64.
      const lines = 2 * (Math.ceil(cpus / 16) - 1);
      assert.deepEqual(plans, { ...plansOfOne, entries: plansOfOne.entries + lines });
      assert.equal(control.value, LAYOUT.rm_control.size + (cpus + 1) * each);
      const more = groupBytes(slots, cpus) - groupBytes(slots, 1);
      const controls = mapBytes("control", slots, cpus) - mapBytes("control", slots, 1);
      assert.equal(more, controls + lines * LAYOUT.rm_plan_line.size);
      assert.ok(
        Math.abs(controls - each * (cpus - 1)) < 4 * KIB,
        "the growth differs by more than a page",
      );
    }
  }
});

test("a group of eight listeners on 128 CPUs uses under 120 KiB, of which a scrape reads under 40", () => {
  assert.ok(groupBytes(64, 2) < 40 * KIB);
  assert.ok(groupBytes(64, 128) < 120 * KIB);
  assert.ok(scrapeBytes(8, 128) < 40 * KIB);
  assert.equal(scrapeBytes(8, 128) - scrapeBytes(8, 1), 127 * (9 + 8 + 1) * 8);
});

test("the lines of a plan of the largest group fit into its map", () => {
  const { plans } = groupShapes(1024, 1);
  assert.equal(plans.entries * LAYOUT.rm_plan_line.size, 2 * (3 * 64 + 3 * 1024 * 2 + 64));
});
