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
    schedule.permitIfDue(nowMs, () => 0);
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
    schedule.addBinds(new Set([7]), 0, START + 0.5);
    const made = polls(schedule, 900);
    assert.deepEqual(times(made), [1, 4, 10, 50, 201]);
    assert.deepEqual(
      made.map(([, scope]) => scope),
      [...Array(4).fill(new Set([7])), "host"],
    );
  });

  test("binds of one millisecond share their polls", () => {
    const schedule = new PollSchedule(START);
    schedule.addBinds(new Set([7]), 0, START + 0.1);
    schedule.addBinds(new Set([8, 9]), 0, START + 0.2);
    const [first, ...rest] = polls(schedule, 900);
    assert.deepEqual(first?.[1], new Set([7, 8, 9]));
    assert.equal(rest.length, 4);
  });

  test("each bind has a poll of the host of its own", () => {
    const schedule = new PollSchedule(START);
    schedule.addBinds(new Set([7]), 0, START);
    schedule.addBinds(new Set([8]), 0, START + 150);
    const hosts = polls(schedule, 900).filter(([, scope]) => scope === "host");
    assert.deepEqual(times(hosts), [200, 350]);
  });

  test("of many processes, or one that has no pid here, the host is read", () => {
    for (const pids of [[1, 2, 3, 4, 5, 6, 7, 8, 9], [0]]) {
      const schedule = new PollSchedule(START);
      schedule.addBinds(new Set(pids), 0, START);
      const scopes = polls(schedule, 900).map(([, scope]) => scope);
      assert.deepEqual(scopes, Array(5).fill("host"));
    }
  });

  test("a poll of the host stands for the processes that are due with it", () => {
    const schedule = new PollSchedule(START);
    schedule.addBinds(new Set([7]), 0, START);
    schedule.pollHostBy(START + 4);
    assert.deepEqual(polls(schedule, 40).slice(1), [
      [4, "host"],
      [10, new Set([7])],
    ]);
  });
});

describe("a flood of binds", () => {
  /** What happens from START on while binds never end. */
  interface Flooded {
    /** Time of polls, and of reading binds. */
    readonly workMs: number;
    readonly permits: number[];
    readonly made: [number, PollScope][];
  }

  /** 64 binds are reported as soon as they are permitted, and others are not. */
  function flood(untilMs: number, { costMs, batchMs }: Record<"costMs" | "batchMs", number>) {
    const schedule = new PollSchedule(START);
    const found = { workMs: batchMs, permits: [] as number[], made: [] as [number, PollScope][] };
    schedule.addBinds(new Set([7]), batchMs, START);
    for (let nowMs = schedule.dueMs; nowMs <= START + untilMs; nowMs = schedule.dueMs) {
      let isPermitted = false;
      schedule.permitIfDue(nowMs, () => {
        isPermitted = true;
        return 1_000;
      });
      if (isPermitted) {
        found.permits.push(nowMs - START);
        schedule.addBinds(new Set([7, 8]), batchMs, nowMs);
        found.workMs += batchMs;
      }
      const scope = schedule.take(nowMs, never);
      if (scope === null) continue;
      found.made.push([nowMs - START, scope]);
      found.workMs += costMs;
      schedule.finish(scope, nowMs, nowMs + costMs);
    }
    return found satisfies Flooded;
  }

  /** The time that a burst may be ahead. */
  const DEBT_MS = 10_000;
  const COSTS = [
    { costMs: 0.5, batchMs: 0.3 },
    { costMs: 5, batchMs: 1 },
    { costMs: 80, batchMs: 1 },
  ];
  for (const costs of COSTS) {
    test(`takes a tenth of the time: ${JSON.stringify(costs)}`, () => {
      const { workMs, permits, made } = flood(20_000, costs);
      const periodicMs = 20 * costs.costMs;
      assert.ok(workMs < 0.1 * (20_000 + DEBT_MS) + periodicMs, `${workMs} ms`);
      assert.ok(workMs > 0.05 * 20_000, "it is not neglected");
      assert.ok(permits.length > 10, `${permits.length} permits`);
      const hosts = times(made.filter(([, scope]) => scope === "host"));
      const gaps = hosts.map((ms, i) => ms - (hosts[i - 1] ?? 0));
      assert.ok(Math.max(...gaps) <= RECONCILE_MS, `the host is polled: ${Math.max(...gaps)} ms`);
      const processes = made.filter(([, scope]) => scope !== "host");
      assert.ok(processes.length <= 4, "single processes are read at its begin only");
    });
  }

  test("binds that were not reported: the host is polled after 10 ms, and once later", () => {
    const schedule = new PollSchedule(START);
    schedule.addBinds(new Set([7]), 0, START);
    schedule.permitIfDue(START + 2.5, () => 1);
    assert.deepEqual(polls(schedule, 900), [
      [13, "host"],
      [203, "host"],
    ]);
  });

  test("after it, processes are read again", () => {
    const schedule = new PollSchedule(START);
    schedule.addBinds(new Set([7]), 0, START);
    schedule.permitIfDue(START + 10, () => 1);
    polls(schedule, 500);
    schedule.addBinds(new Set([7]), 0, START + 500);
    assert.deepEqual(times(polls(schedule, 900)), [510, 700]);
    schedule.addBinds(new Set([7]), 0, START + 1_500);
    assert.deepEqual(times(polls(schedule, 1_900)), [1_501, 1_504, 1_510, 1_550, 1_700]);
  });

  test("more are permitted at once, in a flood when the binds before are paid for", () => {
    const schedule = new PollSchedule(START);
    assert.equal(schedule.permitMs, Number.POSITIVE_INFINITY);
    schedule.addBinds(new Set([7]), 1, START);
    schedule.permitIfDue(START, () => 1);
    assert.equal(schedule.permitMs, Number.POSITIVE_INFINITY, "once for a batch");
    schedule.addBinds(new Set([7]), 1, START + 1);
    const dueMs = schedule.permitMs;
    assert.ok(dueMs > START + 15 && dueMs < START + 30, String(dueMs - START));
    assert.ok(schedule.dueMs <= dueMs);
    schedule.permitIfDue(dueMs - 0.5, () => assert.fail("too early"));
    schedule.permitIfDue(dueMs, () => 0);
    assert.equal(schedule.permitMs, Number.POSITIVE_INFINITY);
  });

  test("a deploy of many servers is none: their binds are all reported, and read", () => {
    const schedule = new PollSchedule(START);
    const MOST = 64;
    let left = MOST;
    let least = left;
    let reads = 0;
    for (let nowMs = START; nowMs < START + 8_000; nowMs++) {
      if ((nowMs - START) % 120 === 0) {
        left--;
        schedule.addBinds(new Set([7]), 0.1, nowMs);
      }
      schedule.permitIfDue(nowMs, () => {
        left = MOST;
        return 0;
      });
      least = Math.min(least, left);
      const scope = schedule.take(nowMs, never);
      if (scope === null) continue;
      if (scope !== "host") reads++;
      schedule.finish(scope, nowMs, nowMs + 5); // which takes a fifth of the time
    }
    assert.ok(least > MOST / 2, `${least}`);
    assert.ok(reads > (2.5 * 8_000) / 120, `${reads}`);
  });

  test("slices of passes during a poll do not count as its cost", () => {
    for (const scope of ["host", new Set([7])] as const) {
      const schedule = new PollSchedule(START);
      schedule.addBinds(new Set(scope === "host" ? [0] : [7]), 0, START);
      assert.deepEqual(schedule.take(START + 1, never), scope);
      schedule.noteSlice(1_000);
      schedule.finish(scope, START + 1, START + 1_011);
      assert.ok(Math.abs(schedule.permitMs + DEBT_MS - (START + 1_000 + 10 * 10)) < 10);
    }
  });

  test("if binds are very dear, only the periodic polls are made until they are paid for", () => {
    const schedule = new PollSchedule(START);
    const binds: number[] = [];
    let workMs = 0;
    const made: number[] = [];
    // One bind each 300 ms, and never more than are permitted; each poll takes 200 ms.
    for (let nowMs = START; nowMs < START + 40_000; nowMs++) {
      if ((nowMs - START) % 300 === 0 && binds.length < 64) {
        binds.push(nowMs - START);
        schedule.addBinds(new Set([7]), 0, nowMs);
      }
      if (nowMs < schedule.dueMs) continue;
      const scope = schedule.take(nowMs, never);
      if (scope === null) continue;
      schedule.finish(scope, nowMs, nowMs + 200);
      made.push(nowMs - START);
      workMs += 200;
    }
    assert.ok(made.filter((ms) => ms < 2_000).length > 5, "at first, each bind causes polls");
    assert.ok(workMs < 40 * 200 + 5_000, `${workMs} ms; periodic polls take ${40 * 200}`);
  });

  test("periodic polls, however long, leave permits alone", () => {
    const schedule = new PollSchedule(START);
    polls(schedule, 5_000, { costMs: 800 });
    schedule.addBinds(new Set([7]), 0, START + 5_000);
    assert.ok(schedule.permitMs < START + 5_020);
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
    schedule.addBinds(new Set([7]), 0, START);
    assert.deepEqual(times(polls(schedule, 100, { costMs: 20 })), [1, 41, 81].slice(0, 3));
    const other = new PollSchedule(START);
    other.pollHostBy(START);
    assert.equal(other.take(START, never), "host");
    other.finish("host", START, START + 300);
    other.addBinds(new Set([8]), 0, START + 300);
    assert.deepEqual(times(polls(other, 560)), [301, 304, 310, 350]);
    assert.deepEqual(times(polls(other, 700)), [600]);
  });
});

test("a machine that stood still during a poll is not punished for long", () => {
  const schedule = new PollSchedule(START);
  schedule.addBinds(new Set([7]), 0, START);
  assert.ok(schedule.take(START + 1, never));
  schedule.finish(new Set([7]), START + 1, START + 600_000);
  assert.ok(schedule.permitMs < START + 620_000);
  assert.ok(schedule.dueMs < START + 603_000);
});

test("the earliest of several requests counts, and only once", () => {
  const schedule = new PollSchedule(START);
  schedule.pollHostBy(START + 300);
  schedule.pollHostBy(START + 100);
  schedule.pollHostBy(START + 200);
  assert.equal(schedule.dueMs, START + 100);
  assert.deepEqual(times(polls(schedule, 900)), [100]);
});
