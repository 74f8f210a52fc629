/** When a sidecar polls, and what: decisions without a clock or a kernel. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  PollSchedule,
  type PollScope,
  RECONCILE_MS,
  RESTING_MS,
} from "../../loader/sidecar/poll_schedule.ts";

const START = 100_000;
const never = () => false;
const always = () => true;

/**
 * Polls whenever something is due, up to `untilMs`; each poll takes `costMs`. Returns when, and
 * what.
 */
function polls(
  schedule: PollSchedule,
  untilMs: number,
  { mayRest = never, costMs = 0 }: { mayRest?: () => boolean; costMs?: number } = {},
): [number, PollScope][] {
  const made: [number, PollScope][] = [];
  for (let nowMs = schedule.dueMs; nowMs <= START + untilMs; nowMs = schedule.dueMs) {
    const scope = schedule.take(nowMs, mayRest);
    if (scope === null) continue;
    made.push([nowMs - START, scope]);
    schedule.finish(scope, nowMs, nowMs + costMs);
  }
  return made;
}

const times = (made: readonly (readonly [number, PollScope])[]) => made.map(([ms]) => ms);

describe("periodic polls", () => {
  test("of the host, once a second", () => {
    const made = polls(new PollSchedule(START), 3_500);
    assert.deepEqual(made, [
      [1_000, "host"],
      [2_000, "host"],
      [3_000, "host"],
    ]);
  });

  test("at rest every five seconds; a change ends the rest", () => {
    const schedule = new PollSchedule(START);
    const before = times(polls(schedule, 30_000, { mayRest: always }));
    assert.deepEqual(
      before.slice(0, 9),
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((s) => s * RECONCILE_MS),
    );
    assert.deepEqual(before.slice(9), [14_000, 19_000, 24_000, 29_000]);
    assert.equal((before[10] ?? 0) - (before[9] ?? 0), RESTING_MS);
    schedule.noteChange(START + 30_000);
    const after = times(polls(schedule, 33_000, { mayRest: always }));
    assert.deepEqual(after, [31_000, 32_000, 33_000]);
  });

  test("there is no rest while changes may go unreported; that is asked once a second", () => {
    const schedule = new PollSchedule(START);
    let asked = 0;
    const mayRest = () => {
      asked++;
      return asked > 3;
    };
    const made = times(polls(schedule, 20_000, { mayRest }));
    assert.deepEqual(made.slice(9, 13), [10_000, 11_000, 12_000, 17_000]);
    assert.equal(asked, 3 + 4 + 3);
  });
});

describe("after bind()", () => {
  test("the process is read four times, and the host once", () => {
    const schedule = new PollSchedule(START);
    schedule.addBinds(new Set([7]), START + 0.5);
    const made = polls(schedule, 900);
    assert.deepEqual(times(made), [1, 4, 10, 50, 201]);
    assert.deepEqual(
      made.map(([, scope]) => scope),
      [...Array(4).fill(new Set([7])), "host"],
    );
  });

  test("binds of one millisecond share their polls", () => {
    const schedule = new PollSchedule(START);
    schedule.addBinds(new Set([7]), START + 0.1);
    schedule.addBinds(new Set([8, 9]), START + 0.2);
    const [first, ...rest] = polls(schedule, 900);
    assert.deepEqual(first?.[1], new Set([7, 8, 9]));
    assert.equal(rest.length, 4);
  });

  test("each bind has a poll of the host of its own", () => {
    const schedule = new PollSchedule(START);
    schedule.addBinds(new Set([7]), START);
    schedule.addBinds(new Set([8]), START + 150);
    const hosts = polls(schedule, 900).filter(([, scope]) => scope === "host");
    assert.deepEqual(times(hosts), [200, 350]);
  });

  test("of many processes, or one that has no pid here, the host is read", () => {
    for (const pids of [[1, 2, 3, 4, 5, 6, 7, 8, 9], [0]]) {
      const schedule = new PollSchedule(START);
      schedule.addBinds(new Set(pids), START);
      const scopes = polls(schedule, 900).map(([, scope]) => scope);
      assert.deepEqual(scopes, Array(5).fill("host"));
    }
  });

  test("a poll of the host stands for the processes that are due with it", () => {
    const schedule = new PollSchedule(START);
    schedule.addBinds(new Set([7]), START);
    schedule.pollHostBy(START + 4);
    assert.deepEqual(polls(schedule, 40).slice(1), [
      [4, "host"],
      [10, new Set([7])],
    ]);
  });
});

describe("polls take at most half of the time", () => {
  test("of the host", () => {
    assert.deepEqual(
      times(polls(new PollSchedule(START), 7_000, { costMs: 800 })),
      [1_000, 2_600, 4_200, 5_800],
    );
  });

  test("of processes, which are merged then; a dear poll of the host does not delay them", () => {
    const schedule = new PollSchedule(START);
    schedule.addBinds(new Set([7]), START);
    assert.deepEqual(times(polls(schedule, 100, { costMs: 20 })), [1, 41, 81].slice(0, 3));
    const other = new PollSchedule(START);
    other.pollHostBy(START);
    assert.equal(other.take(START, never), "host");
    other.finish("host", START, START + 300);
    other.addBinds(new Set([8]), START + 300);
    assert.deepEqual(times(polls(other, 560)), [301, 304, 310, 350]);
    assert.deepEqual(times(polls(other, 700)), [600]);
  });
});

test("the earliest of several requests counts, and only once", () => {
  const schedule = new PollSchedule(START);
  schedule.pollHostBy(START + 300);
  schedule.pollHostBy(START + 100);
  schedule.pollHostBy(START + 200);
  assert.equal(schedule.dueMs, START + 100);
  assert.deepEqual(times(polls(schedule, 900)), [100]);
});
