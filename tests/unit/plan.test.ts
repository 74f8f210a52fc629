import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MAX_GENERATION, RESPAWN_MS, START_GAP_MS } from "../../loader/core/generations.ts";
import { capacityFor, grownCapacity, makePlan, slotsNow } from "../../loader/core/plan.ts";
import type { Policy, Seen, Slot } from "../../loader/core/slot.ts";
import { rolesOf } from "../../loader/core/targets.ts";

const DEFAULT: Policy = { migrate: "newest", route: "kernel" };
const HOUR = 3_600_000;

/** A service seen through time: listeners open and leave, a plan each time. */
class History {
  slots: readonly Slot[] = [];
  policy: Policy;
  capacity: number;
  readonly #live = new Map<bigint, Omit<Seen, "cookie">>();

  constructor(policy: Policy = DEFAULT, capacity = 64) {
    this.policy = policy;
    this.capacity = capacity;
  }

  at(nowMs: number, change: { open?: bigint[]; close?: bigint[]; settings?: bigint }) {
    for (const cookie of change.close ?? []) this.#live.delete(cookie);
    for (const cookie of change.open ?? []) {
      const optionsDigest = change.settings ?? 8n;
      this.#live.set(cookie, { openedMs: nowMs, optionsDigest, incomingCpu: -1 });
    }
    const seen = [...this.#live].map(([cookie, rest]) => ({ cookie, ...rest }));
    const plan = makePlan(this.slots, seen, this.policy, this.capacity, nowMs);
    // What a status says of it without a plan: the same, once nobody is new.
    assert.deepEqual(slotsNow(plan.slots, this.#live, nowMs), plan.slots);
    this.slots = plan.slots;
    return plan;
  }

  generation(cookie: bigint) {
    return this.slots.find((s) => s.cookie === cookie)?.generation;
  }

  slot(cookie: bigint) {
    return this.slots.find((s) => s.cookie === cookie)?.slot;
  }
}

describe("generations", () => {
  test("listeners that appear together share one", () => {
    const h = new History();
    h.at(HOUR, { open: [1n, 2n, 3n, 4n] });
    h.at(HOUR + START_GAP_MS, { open: [5n] });
    assert.deepEqual(
      [1n, 2n, 3n, 4n, 5n].map((c) => h.generation(c)),
      [1, 1, 1, 1, 1],
    );
  });

  test("the last one is not followed by one that its record has no room for", () => {
    const h = new History();
    h.at(HOUR, { open: [1n] });
    h.slots = h.slots.map((slot) => ({ ...slot, generation: MAX_GENERATION }));
    h.at(2 * HOUR, { open: [2n] });
    assert.equal(h.generation(2n), MAX_GENERATION);
  });

  test("a reload opens the next one, however soon after the last reload", () => {
    const h = new History();
    h.at(HOUR, { open: [1n] });
    for (let i = 2n; i < 20n; i++) {
      const start = 2 * HOUR + Number(i) * 100;
      h.at(start, { open: [i] });
      h.at(start + 50, { close: [i - 1n] });
      assert.equal(h.generation(i), Number(i));
    }
  });

  test("one respawned worker takes the place of the one that left", () => {
    const h = new History();
    h.at(HOUR, { open: [1n, 2n, 3n, 4n] });
    h.at(2 * HOUR, { close: [2n] });
    h.at(2 * HOUR + 300, { open: [5n] });
    assert.equal(h.generation(5n), 1);
    // Only as many as left: a second newcomer is a new start.
    h.at(2 * HOUR + 5_000, { open: [6n] });
    assert.equal(h.generation(6n), 2);
  });

  test("a worker that left and its successor may be noticed at once", () => {
    const h = new History();
    h.at(HOUR, { open: [1n, 2n, 3n, 4n] });
    h.at(2 * HOUR, { close: [2n], open: [5n] });
    assert.equal(h.generation(5n), 1);
  });

  test("more that arrive than left are a new start, all of them", () => {
    const h = new History();
    h.at(HOUR, { open: [1n, 2n, 3n, 4n] });
    h.at(2 * HOUR, { close: [2n], open: [5n, 6n, 7n, 8n] });
    assert.deepEqual(
      [5n, 6n, 7n, 8n].map((c) => h.generation(c)),
      [2, 2, 2, 2],
    );
  });

  test("reloads without an overlap that was noticed are starts too", () => {
    const h = new History();
    h.at(HOUR, { open: [1n] });
    for (let i = 2n; i < 20n; i++) {
      h.at(HOUR + Number(i) * 100, { open: [i], close: [i - 1n] });
      assert.equal(h.generation(i), Number(i));
    }
  });

  test("what opens long after others left is not a respawn", () => {
    const h = new History();
    h.at(HOUR, { open: [1n, 2n] });
    h.at(2 * HOUR, { close: [2n] });
    h.at(2 * HOUR + RESPAWN_MS, { open: [3n] });
    assert.equal(h.generation(3n), 2);
  });

  test("a stop and a start is a new generation, shared by all that start", () => {
    const h = new History();
    h.at(HOUR, { open: [1n, 2n] });
    h.at(2 * HOUR, { close: [1n, 2n] });
    h.at(2 * HOUR + 400, { open: [3n] });
    h.at(2 * HOUR + 450, { open: [4n] });
    assert.deepEqual([h.generation(3n), h.generation(4n)], [2, 2]);
  });

  test("arrivals and departures seen in one pass are one new start, not many", () => {
    const h = new History();
    h.at(HOUR, { open: [1n, 2n] });
    const seen = [3n, 4n, 5n].map((cookie) => ({
      cookie,
      openedMs: 2 * HOUR - 500,
      optionsDigest: 8n,
      incomingCpu: -1,
    }));
    const plan = makePlan(h.slots, seen, DEFAULT, 64, 2 * HOUR);
    assert.deepEqual(new Set(plan.added.map((s) => s.generation)), new Set([2]));
  });

  test("numbers only rise, also when slots are reused", () => {
    const h = new History(DEFAULT, 2);
    let last = 0;
    for (let i = 1n; i < 10n; i++) {
      h.at(Number(i) * HOUR, { open: [i] });
      const generation = h.generation(i) ?? 0;
      assert.ok(generation > last);
      last = generation;
      h.at(Number(i) * HOUR + 60_000, { close: [i] });
    }
  });
});

describe("targets", () => {
  test("route kernel never steers new connections, whatever was respawned", () => {
    const h = new History();
    h.at(HOUR, { open: [1n, 2n] });
    h.at(2 * HOUR, { close: [1n] });
    const plan = h.at(2 * HOUR + 10, { open: [3n] });
    assert.deepEqual(plan.targets.syn, []);
  });

  test("route newest steers to every listener of the newest generation", () => {
    const h = new History({ migrate: "newest", route: "newest" });
    h.at(HOUR, { open: [1n, 2n] });
    const { targets } = h.at(2 * HOUR, { open: [3n, 4n] });
    assert.deepEqual(targets.syn, [h.slot(3n), h.slot(4n)]);
    // When the new start dies, what is left is the newest there is.
    const after = h.at(2 * HOUR + 500, { close: [3n, 4n] }).targets;
    assert.deepEqual(after.syn, [h.slot(1n), h.slot(2n)]);
  });

  test("migrate newest chooses the newest, and knows the others", () => {
    const h = new History();
    h.at(HOUR, { open: [1n] });
    const { targets } = h.at(2 * HOUR, { open: [2n] });
    assert.deepEqual(targets.classes[1], { best: [h.slot(2n)], rest: [h.slot(1n)] });
  });

  test("migrate any chooses among all", () => {
    const h = new History({ migrate: "any", route: "kernel" });
    h.at(HOUR, { open: [1n] });
    const { targets } = h.at(2 * HOUR, { open: [2n] });
    assert.deepEqual(targets.classes[1]?.best.toSorted(), [0, 1]);
  });

  test("a compatible older listener comes before an incompatible newer one", () => {
    const h = new History();
    h.at(HOUR, { open: [1n, 2n], settings: 7n });
    const { targets, slots } = h.at(2 * HOUR, { open: [3n], settings: 8n });
    assert.deepEqual(
      slots.map((s) => s.class),
      [1, 1, 2],
    );
    assert.deepEqual(targets.classes[1]?.best, [0, 1]);
    assert.deepEqual(targets.classes[2]?.best, [2]);
    assert.deepEqual(targets.classes[0]?.best, [], "a source never seen has no class");
    assert.equal(targets.count, 3);
  });

  test("where all are equal, a source never seen is equal too", () => {
    const h = new History();
    const { targets } = h.at(HOUR, { open: [1n, 2n] });
    assert.equal(targets.classes[0], targets.classes[1]);
  });

  test("settings that could not be read are nobody's equals", () => {
    const h = new History();
    const { targets } = h.at(HOUR, { open: [1n, 2n], settings: 0n });
    assert.deepEqual(
      targets.classes.flatMap((c) => c.best),
      [],
    );
  });

  test("a listener whose settings change has another class from then on", () => {
    const h = new History();
    h.at(HOUR, { open: [1n, 2n] });
    const later = (cookie: bigint, optionsDigest: bigint | null) => ({
      cookie,
      openedMs: 0,
      optionsDigest,
      incomingCpu: -1,
    });
    const plan = makePlan(h.slots, [later(1n, null), later(2n, 9n)], DEFAULT, 64, HOUR + 5);
    assert.deepEqual(
      plan.changed.map((s) => [s.cookie, s.optionsDigest, s.class]),
      [[2n, 9n, 2]],
    );
    assert.deepEqual(plan.targets.classes[1]?.best, [0]);
    const unread = makePlan(plan.slots, [later(1n, 0n), later(2n, 0n)], DEFAULT, 64, HOUR + 6);
    assert.deepEqual(unread.changed, [], "one that could not be read is as it was");
  });

  test("a listener that prefers another CPU from now on is changed, and its class is not", () => {
    const h = new History({ migrate: "newest", route: "newest" });
    const { slots } = h.at(HOUR, { open: [1n, 2n] });
    const seen = [-1, 3].map((incomingCpu, i) => ({
      ...{ cookie: BigInt(i + 1), openedMs: 0, optionsDigest: null, incomingCpu },
    }));
    const plan = makePlan(slots, seen, h.policy, 64, HOUR + 5);
    assert.deepEqual(
      plan.changed.map((slot) => [slot.cookie, slot.incomingCpu, slot.class]),
      [[2n, 3, 1]],
    );
    assert.deepEqual(plan.targets.byCpu, [{ cpu: 3, from: 1, count: 1 }]);
    assert.deepEqual(makePlan(plan.slots, seen, h.policy, 64, HOUR + 6).changed, []);
  });

  test("roles follow from the targets", () => {
    const h = new History({ migrate: "newest", route: "newest" });
    h.at(HOUR, { open: [1n] });
    const { slots, targets } = h.at(2 * HOUR, { open: [2n] });
    assert.deepEqual(
      slots.map((s) => rolesOf(targets)(s)),
      ["superseded", "target"],
    );
    const kernel = makePlan(
      slots,
      [
        { cookie: 1n, openedMs: 0, optionsDigest: 0n, incomingCpu: -1 },
        { cookie: 2n, openedMs: 0, optionsDigest: 0n, incomingCpu: -1 },
      ],
      DEFAULT,
      64,
      2 * HOUR,
    );
    assert.deepEqual(
      slots.map((s) => rolesOf(kernel.targets)(s)),
      ["target", "target"],
    );
  });
});

describe("slots", () => {
  test("nothing changes when nothing happens", () => {
    const h = new History();
    const first = h.at(HOUR, { open: [1n, 2n] });
    const again = h.at(HOUR + 1000, {});
    assert.deepEqual(again, { ...first, added: [] });
  });

  test("a closed listener keeps its slot until another needs it, the oldest first", () => {
    const h = new History(DEFAULT, 3);
    h.at(HOUR, { open: [1n, 2n] });
    h.at(2 * HOUR, { close: [1n] });
    h.at(2 * HOUR + 1, { close: [2n] });
    const third = h.at(3 * HOUR, { open: [3n] });
    assert.deepEqual([third.added[0]?.slot, third.forgotten], [2, []]);
    const fourth = h.at(4 * HOUR, { open: [4n] });
    assert.deepEqual([fourth.added[0]?.slot, fourth.forgotten], [0, [1n]]);
  });

  test("more listeners than slots: the rest waits and nobody is displaced", () => {
    const h = new History(DEFAULT, 2);
    const plan = h.at(HOUR, { open: [1n, 2n, 3n] });
    assert.deepEqual(plan.unplaced, [3n]);
    assert.deepEqual(
      plan.slots.map((s) => s.cookie),
      [1n, 2n],
    );
    assert.deepEqual(
      h.at(2 * HOUR, { close: [1n] }).added.map((s) => s.cookie),
      [3n],
    );
  });

  test("a socket that listens again has its slot back", () => {
    const h = new History();
    h.at(HOUR, { open: [1n] });
    assert.equal(h.at(2 * HOUR, { close: [1n] }).slots[0]?.closedMs, 2 * HOUR);
    const plan = h.at(3 * HOUR, { open: [1n] });
    assert.deepEqual([plan.added, plan.slots[0]?.closedMs], [[], null]);
    assert.deepEqual(
      plan.changed.map((s) => s.cookie),
      [1n],
    );
  });

  test("capacity leaves room for generations, within the ABI's limits", () => {
    assert.deepEqual([0, 1, 8, 9, 64, 500].map(capacityFor), [64, 64, 64, 128, 512, 1024]);
  });

  test("a group with more listeners than slots grows, to two generations of them", () => {
    const grown = (slots: number) => (listeners: number) => grownCapacity(slots, listeners);
    assert.deepEqual([0, 1, 63, 64].map(grown(64)), [64, 64, 64, 64]);
    assert.deepEqual([65, 100, 128, 129, 300].map(grown(64)), [256, 256, 256, 512, 1024]);
    assert.deepEqual([256, 257, 1024, 1025, 5000].map(grown(256)), [256, 1024, 1024, 1024, 1024]);
    assert.deepEqual([1024, 1025].map(grown(1024)), [1024, 1024]);
  });

  test("with a listener without a slot, new connections are left to the kernel's hash", () => {
    for (const policy of [DEFAULT, { ...DEFAULT, route: "newest" }] as const) {
      const h = new History(policy, 2);
      h.at(HOUR, { open: [1n] });
      h.at(2 * HOUR, { open: [2n] });
      h.slots = h.slots.map((slot) => ({ ...slot, drained: slot.cookie === 1n }));
      const steered = h.at(2 * HOUR + 1, {});
      assert.deepEqual(steered.targets.syn, [1]);
      const { targets, unplaced } = h.at(2 * HOUR + 2, { open: [3n] });
      assert.deepEqual([unplaced, targets.syn, targets.refuse], [[3n], [], false]);
      assert.deepEqual(targets.classes, steered.targets.classes, "migrations are as before");
      assert.deepEqual(h.at(3 * HOUR, { close: [3n] }).targets.syn, [1]);
    }
  });
});
