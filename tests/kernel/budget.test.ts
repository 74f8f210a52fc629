/** What the BPF programs cost stays within what is checked in: tests/bench/budget.json. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BpfObject } from "../../loader/bpf/object.ts";
import { cpuNumbers } from "../../loader/bpf/possible_cpus.ts";
import {
  GROUP_MAPS,
  type GroupMap,
  groupShapes,
  MAP_TYPE,
  MMAPABLE,
} from "../../loader/core/map_shapes.ts";
import { nameInObject } from "../../loader/group/control_map.ts";
import { requireShapes } from "../../loader/group/pins.ts";
import { mapBytes } from "../bench/footprint.ts";
import { countsMaps, memlock } from "../bench/memlock.ts";
import { overBudget, programCosts, readBudget } from "../bench/programs.ts";

test("no program takes more than its budget", () => {
  const costs = programCosts();
  const hasMaps = (program: string) => readBudget()[program]?.maps !== 0;
  for (const { program, instructions, maps } of costs) {
    assert.ok(instructions > 0 && (maps > 0 || !hasMaps(program)), program);
  }
  // What an older kernel says of maps is not what they take.
  const known = countsMaps() ? costs : costs.map((cost) => ({ ...cost, maps: 0 }));
  assert.deepEqual(overBudget(known, readBudget()), []);
});

test("what is over its budget, or has none, is said in one sentence", () => {
  const cost = { object: "select", program: "p", stack: 10, maps: 10, file: 10 } as const;
  const budget = { p: { instructions: 10, stack: 10, maps: 10, file: 10 } };
  assert.deepEqual(overBudget([{ ...cost, instructions: 10 }], budget), []);
  const [sentence, ...more] = overBudget([{ ...cost, instructions: 11 }], budget);
  assert.match(
    sentence ?? "",
    /^program p of bpf\/select\.bpf\.c takes 11 instructions of the verifier, more than its budget of 10: /,
  );
  assert.deepEqual(more, []);
  assert.equal(overBudget([{ ...cost, instructions: 10 }], {}).length, 4);
});

test("a group's maps take what tests/bench/footprint.ts says for so many CPUs", (t) => {
  if (!countsMaps()) return t.skip("before Linux 6.4 the kernel does not say");
  const cpus = cpuNumbers();
  for (const slots of [64, 1024]) {
    using object = new BpfObject("select");
    requireShapes(object, slots);
    object.load();
    const bytes = (map: GroupMap) => memlock(object.mapFd(nameInObject(map)));
    // Of the kernel's own beside the entries: the same for every array.
    const own = bytes("move_report") - mapBytes("move_report", slots, cpus);
    assert.ok(own > 0 && own < 1024, `${own} bytes of its own`);
    for (const map of Object.keys(GROUP_MAPS) as GroupMap[]) {
      const { type, flags } = groupShapes(slots, cpus)[map];
      if (flags & MMAPABLE) assert.equal(bytes(map), mapBytes(map, slots, cpus), map);
      else if (type === MAP_TYPE.array) {
        assert.equal(bytes(map) - own, mapBytes(map, slots, cpus), map);
      } else assert.ok(bytes(map) - mapBytes(map, slots, cpus) < 1024, map);
    }
  }
});
