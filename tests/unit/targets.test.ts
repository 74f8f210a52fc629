/** Who may be chosen, by policy, settings and who is drained. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Policy, Slot } from "../../loader/core/slot.ts";
import { chooseTargets, rolesOf } from "../../loader/core/targets.ts";

const POLICY: Policy = { migrate: "newest", route: "kernel" };
const HOLD = { timeMs: 1000, max: 10 };

const slot = (number: number, rest: Partial<Slot> = {}): Slot => ({
  slot: number,
  cookie: BigInt(number + 1),
  openedMs: 0,
  closedMs: null,
  optionsDigest: 8n,
  generation: 1,
  class: 1,
  incomingCpu: -1,
  drained: false,
  ...rest,
});

/** Class 1: slots 0 (old) and 1; class 2: slots 2 (old) and 3 (newest); class 3: slot 4. */
const THREE = [
  slot(0, { generation: 1 }),
  slot(1, { generation: 2 }),
  slot(2, { generation: 1, class: 2 }),
  slot(3, { generation: 3, class: 2 }),
  slot(4, { generation: 2, class: 3 }),
];

describe("--settings", () => {
  test("prefer: the newest compatible, then the newest of any", () => {
    const { classes, other } = chooseTargets(THREE, { ...POLICY, settings: "prefer" });
    assert.deepEqual(classes[1], { best: [1], rest: [0] });
    assert.deepEqual(classes[2], { best: [3], rest: [2] });
    assert.deepEqual(classes[3], { best: [4], rest: [] });
    assert.deepEqual(classes[4], { best: [], rest: [] });
    assert.deepEqual(other, { best: [3], rest: [1, 4, 0, 2] });
  });
  test("strict: compatible ones only", () => {
    const { classes, other } = chooseTargets(THREE, { ...POLICY, settings: "strict" });
    assert.deepEqual(classes[1], { best: [1], rest: [0] });
    assert.deepEqual(classes[0], { best: [], rest: [] });
    assert.deepEqual(other, { best: [], rest: [] });
  });
  test("ignore: the newest, for whatever class", () => {
    const { classes } = chooseTargets(THREE, { ...POLICY, settings: "ignore" });
    for (const run of classes) assert.deepEqual(run, { best: [3], rest: [1, 4, 0, 2] });
    assert.equal(classes[0], classes[9], "one run, so that it is written once");
  });
  test("new connections are not affected", () => {
    for (const settings of ["prefer", "strict", "ignore"] as const) {
      assert.deepEqual(chooseTargets(THREE, { ...POLICY, settings }).syn, []);
    }
  });
});

describe("beside listeners without a slot", () => {
  const choose = (slots: readonly Slot[], policy: Partial<Policy> = {}) =>
    chooseTargets(slots, { ...POLICY, ...policy }, false);
  test("nothing is chosen for new connections: the kernel's hash reaches all", () => {
    assert.deepEqual(choose(THREE, { route: "newest" }).syn, []);
    const drained = choose([slot(0, { drained: true })]);
    assert.deepEqual([drained.syn, drained.refuse], [[], false]);
  });
  test("except beside a standby, which would get a share", () => {
    assert.deepEqual(choose(THREE, { hold: HOLD }).syn.toSorted(), [0, 1, 2, 3, 4]);
  });
});

describe("drained listeners", () => {
  const two = [slot(0, { drained: true }), slot(1)];
  test("get no new connections, which makes the choice explicit", () => {
    assert.deepEqual(chooseTargets([slot(0), slot(1)], POLICY).syn, []);
    assert.deepEqual(chooseTargets(two, POLICY).syn, [1]);
    assert.deepEqual(chooseTargets(two, { ...POLICY, route: "newest" }).syn, [1]);
  });
  test("the newest generation is one that is not drained", () => {
    const slots = [slot(0, { generation: 1 }), slot(1, { generation: 2, drained: true })];
    assert.deepEqual(chooseTargets(slots, { ...POLICY, route: "newest" }).syn, [0]);
    assert.deepEqual(chooseTargets(slots, POLICY).classes[1], { best: [0], rest: [] });
  });
  test("are a destination only for want of any other", () => {
    const { classes, other, count } = chooseTargets(two, POLICY);
    assert.deepEqual(classes[1], { best: [1], rest: [] });
    assert.deepEqual(other, { best: [1], rest: [0] });
    assert.equal(count, 1);
    const all = chooseTargets([slot(0, { drained: true })], POLICY);
    assert.deepEqual(all.classes[1], { best: [0], rest: [] });
  });
  test("all of them: new connections are refused, or held", () => {
    const all = [slot(0, { drained: true })];
    assert.equal(chooseTargets(all, POLICY).refuse, true);
    const held = chooseTargets(all, { ...POLICY, hold: HOLD });
    assert.deepEqual([held.refuse, held.syn, held.count], [false, [], 0]);
    assert.equal(chooseTargets([], POLICY).refuse, false, "nobody listens: the kernel refuses");
  });
  test("have the role of one", () => {
    const targets = chooseTargets(two, POLICY);
    assert.deepEqual(
      two.map((one) => rolesOf(targets)(one)),
      ["draining", "target"],
    );
    const all = [slot(0, { drained: true })];
    assert.equal(rolesOf(chooseTargets(all, POLICY))(all[0] as Slot), "draining");
  });
});

test("beside a standby every target is named", () => {
  const slots = [slot(0), slot(1)];
  assert.deepEqual(chooseTargets(slots, { ...POLICY, hold: HOLD }).syn, [0, 1]);
});

describe("listeners that prefer a CPU", () => {
  const on = (number: number, incomingCpu: number, rest: Partial<Slot> = {}) =>
    slot(number, { incomingCpu, ...rest });
  const local = (slots: readonly Slot[], policy: Partial<Policy>) => {
    const { syn, byCpu } = chooseTargets(slots, { ...POLICY, ...policy });
    return { syn, byCpu };
  };

  test("stand side by side, each CPU's together", () => {
    const slots = [on(0, 1), on(1, -1), on(2, 0), on(3, 1), on(4, 70)];
    assert.deepEqual(local(slots, { hold: HOLD }), {
      syn: [1, 2, 0, 3, 4],
      byCpu: [
        { cpu: 0, from: 1, count: 1 },
        { cpu: 1, from: 2, count: 2 },
        { cpu: 70, from: 4, count: 1 },
      ],
    });
  });

  test("if they are targets", () => {
    const slots = [on(0, 0), on(1, 0, { drained: true }), on(2, 0, { generation: 2 })];
    assert.deepEqual(local(slots, {}).byCpu, [{ cpu: 0, from: 0, count: 2 }]);
    assert.deepEqual(local(slots, { route: "newest" }), {
      syn: [2],
      byCpu: [{ cpu: 0, from: 0, count: 1 }],
    });
  });

  test("are the kernel's to find while it chooses", () => {
    assert.deepEqual(local([on(0, 0), on(1, 1)], {}), { syn: [], byCpu: [] });
  });
});
