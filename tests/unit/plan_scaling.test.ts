/** The plan's work grows with the listeners, not with their square: counted, not timed. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makePlan, type Plan } from "../../loader/core/plan.ts";
import type { Policy, Seen, Slot } from "../../loader/core/slot.ts";
import { chooseTargets, rolesOf } from "../../loader/core/targets.ts";
import { countOperations } from "./operations.ts";

const SIZES = [10, 100, 1_000, 10_000, 100_000] as const;
const POLICY: Policy = { migrate: "newest", route: "newest" };
const HOUR = 3_600_000;

/**
 * `n` listeners from cookie `first` on, opened one a millisecond, with settings of `classes` kinds.
 */
function listeners(n: number, first: number, openedMs: number, classes = 3): Seen[] {
  return Array.from({ length: n }, (_, i) => ({
    cookie: BigInt(first + i),
    openedMs: openedMs + (i % 1_000),
    optionsDigest: BigInt(2 * (1 + (i % classes))),
    incomingCpu: i % 100,
  }));
}

function plan(before: readonly Slot[], seen: readonly Seen[], capacity: number, nowMs: number) {
  return makePlan(before, seen, POLICY, capacity, nowMs);
}

/** A group of `n` that has been listening, with slots for twice as many. */
const settled = (n: number): Plan => plan([], listeners(n, 1, HOUR), 2 * n, HOUR);

/** What may happen to a group of `n`; what is to be counted. */
const CASES: Readonly<Record<string, (n: number) => () => void>> = {
  "the first look": (n) => {
    const seen = listeners(n, 1, HOUR);
    return () => plan([], seen, n, HOUR);
  },
  "nothing changed": (n) => {
    const { slots } = settled(n);
    const seen = listeners(n, 1, HOUR);
    return () => plan(slots, seen, 2 * n, 2 * HOUR);
  },
  "all leave, as many come": (n) => {
    const { slots } = settled(n);
    const seen = listeners(n, 1 + n, 2 * HOUR);
    return () => plan(slots, seen, 2 * n, 2 * HOUR);
  },
  "as many come, and there is no slot that was never used": (n) => {
    const { slots } = settled(n);
    const gone = plan(slots, [], n, 2 * HOUR);
    const seen = listeners(n, 1 + n, 2 * HOUR + 1);
    return () => plan(gone.slots, seen, n, 2 * HOUR + 1);
  },
  "half of them are respawned": (n) => {
    const { slots } = settled(n);
    const stay = listeners(n, 1, HOUR).slice(n / 2);
    const left = plan(slots, stay, 2 * n, 2 * HOUR);
    const seen = [...stay, ...listeners(n / 2, 1 + n, 2 * HOUR + 1)];
    return () => plan(left.slots, seen, 2 * n, 2 * HOUR + 1);
  },
  "more come than there are slots": (n) => {
    const seen = listeners(n, 1, HOUR);
    return () => plan([], seen, n / 2, HOUR);
  },
  "all change their settings": (n) => {
    const { slots } = settled(n);
    const seen = listeners(n, 1, HOUR).map((one) => ({ ...one, optionsDigest: 98n }));
    return () => plan(slots, seen, 2 * n, 2 * HOUR);
  },
  "everybody's role, half of them drained": (n) => {
    const slots = settled(n).slots.map((slot) => ({ ...slot, drained: slot.slot % 2 === 0 }));
    return () => {
      const roleOf = rolesOf(chooseTargets(slots, POLICY));
      for (const slot of slots) roleOf(slot);
    };
  },
};

describe("operations of a plan, by listeners", () => {
  for (const [name, prepare] of Object.entries(CASES)) {
    test(name, () => {
      const counts = SIZES.map((n) => countOperations(prepare(n)));
      for (const [i, count] of counts.entries()) {
        const before = counts[i - 1];
        // Ten times as many listeners; sorting takes log n each (at most 1.8 of it here).
        if (before !== undefined) {
          assert.ok(count <= 10 * 1.9 * before, `${SIZES[i]} listeners: ${counts.join(", ")}`);
        }
      }
      const [, hundred = 0] = counts;
      const most = counts.at(-1) ?? 0;
      assert.ok(most <= 1_000 * 2.6 * hundred, `linear but for sorting: ${counts.join(", ")}`);
    });
  }

  test("a walk within a walk is counted", () => {
    const quadratic = (n: number) => {
      const all = Array.from({ length: n }, (_, i) => i);
      return countOperations(() => all.map((one) => all.includes(one)));
    };
    assert.ok(quadratic(1_000) > 90 * quadratic(100));
  });
});
