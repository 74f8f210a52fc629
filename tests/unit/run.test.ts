/** run's verdict from readings of status, without a kernel. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Meter } from "../../cli/run/meter.ts";
import { outcomeText, type RunReport } from "../../cli/run/report.ts";
import { runVerdict } from "../../cli/run/verdict.ts";
import { parseSpec } from "../../loader/core/spec.ts";
import type { Decision, GroupStatus, Status } from "../../loader/index.ts";
import { groupStatus, holdCounts, listenerStatus, statusOf } from "../helpers/fixtures.ts";

const selected = (count: number, stage: Decision["stage"] = "accept_queue"): Decision => ({
  stage,
  outcome: "selected",
  count,
});
const dropped = (count: number): Decision => ({
  stage: "accept_queue",
  outcome: "dropped",
  count,
});
const gone = (count: number): Decision => ({
  stage: "handshake_ack",
  outcome: "fallback",
  reason: "gone",
  count,
});

/** The verdict after these readings, the first of them before the command. */
function verdict(readings: readonly Status[], specs: readonly string[] = [], resets = false) {
  const meter = new Meter(specs.map(parseSpec));
  for (const reading of readings) meter.add(reading);
  return { meter, ...runVerdict(meter, () => resets) };
}

const counts = ({ lost, moved, held }: ReturnType<typeof verdict>) => [lost, moved, held];

describe("a verdict", () => {
  const old = listenerStatus({ cookie: 1n, generation: 1, migratedInto: 7 });
  const next = listenerStatus({ cookie: 2n, generation: 2 });
  const before = groupStatus({
    generation: 1,
    listeners: [old],
    decisions: [selected(100), gone(1), { stage: "syn", outcome: "kernel", count: 50 }],
    closed: { out: 93, into: 86 },
  });

  test("is the difference: by stage, outcome and reason, and to which generation", () => {
    const after = groupStatus({
      generation: 2,
      listeners: [{ ...next, migratedInto: 20 }],
      decisions: [selected(123), gone(3), { stage: "syn", outcome: "kernel", count: 90 }],
      closed: { out: 116, into: 96 },
    });
    const result = verdict([statusOf([before], 5), statusOf([after], 5)]);
    assert.deepEqual(counts(result), [0, 25, 0]);
    const [group] = result.groups;
    assert.deepEqual(group?.decisions, [
      selected(23),
      gone(2),
      { stage: "syn", outcome: "kernel", count: 40 },
    ]);
    assert.deepEqual(group?.into, [{ generation: 2, newest: true, count: 20 }]);
    assert.deepEqual([group?.olderOrGone, group?.byKernel], [3, 2]);
  });

  test("of nothing is nothing", () => {
    const result = verdict([statusOf([before], 5), statusOf([before], 5)]);
    assert.deepEqual(counts(result), [0, 0, 0]);
  });

  test("takes the kernel's failures or the drops, whichever are more", () => {
    const base = groupStatus({ decisions: [dropped(10)] });
    const after = groupStatus({ decisions: [dropped(15)] });
    const lost = (failures: number) =>
      verdict([statusOf([base], 10), statusOf([after], failures)]).lost;
    assert.equal(lost(15), 5);
    assert.equal(lost(17), 7);
    assert.equal(lost(13), 5);
    const unknown = verdict([statusOf([base], null), statusOf([after], null)]);
    assert.deepEqual([unknown.lost, unknown.namespaces[0]?.failed], [5, null]);
  });

  test("leaves out what other groups of the namespace drop", () => {
    const other = (n: number) =>
      groupStatus({ name: "other", firstProgramId: 2, port: 81, decisions: [dropped(n)] });
    const mine = groupStatus({ decisions: [selected(1)] });
    const readings = [statusOf([mine, other(0)], 0), statusOf([mine, other(9)], 11)];
    assert.deepEqual(counts(verdict(readings, [":80"])), [2, 0, 0]);
    assert.deepEqual(counts(verdict(readings)), [11, 0, 0]);
  });

  test("a group that comes, and one that is pinned again, count from zero; one that goes keeps its counts", () => {
    const first = groupStatus({ decisions: [selected(100)] });
    const later = groupStatus({ decisions: [selected(104)] });
    const again = groupStatus({ programId: 9, firstProgramId: 9, decisions: [selected(3)] });
    const late = groupStatus({ name: "late", firstProgramId: 5, decisions: [selected(2)] });
    const readings = [[first], [later], [], [again], [again, late]].map((it) => statusOf(it, 0));
    const result = verdict(readings);
    assert.deepEqual(
      result.groups.map(({ moved, came, gone }) => [moved, came, gone]),
      [
        [4, false, true],
        [3, true, false],
        [2, true, false],
      ],
    );
  });

  test("what a standby took and gave on was moved once; what it holds is neither moved nor lost", () => {
    const hold = (migrated: number, connections: number): GroupStatus["hold"] => ({
      ...{ timeMs: 10_000, max: 4096, standby: true, holding: connections > 0, leftMs: 5_000 },
      connections,
      received: { syn: 0, migrated },
    });
    const started = groupStatus({ hold: hold(0, 0) });
    const standby = listenerStatus({ role: "standby", generation: null, queueLength: 20 });
    const holding = groupStatus({
      hold: hold(20, 20),
      decisions: [selected(20)],
      listeners: [standby],
      closed: { out: 20, into: 20 },
    });
    const result = verdict([statusOf([started], 0), statusOf([holding], 0)]);
    assert.deepEqual(counts(result), [0, 0, 20]);
    assert.equal(result.meter.waiting.length, 1);

    const over = groupStatus({
      hold: hold(20, 0),
      decisions: [selected(40)],
      listeners: [listenerStatus({ generation: 1, migratedInto: 20 })],
      closed: { out: 40, into: 20 },
      generation: 1,
    });
    const end = verdict([statusOf([started], 0), statusOf([holding], 0), statusOf([over], 0)]);
    assert.deepEqual(counts(end), [0, 20, 0]);
    assert.deepEqual(end.groups[0]?.into, [{ generation: 1, newest: true, count: 20 }]);
    assert.equal(end.groups[0]?.olderOrGone, 0);
  });
});

describe("held connections that were reset", () => {
  const reset = (count: number, change: Parameters<typeof groupStatus>[0] = {}) =>
    groupStatus({
      holds: holdCounts({ connections: { handed_over: 9, reset: count } }),
      ...change,
    });

  test("are lost, and once: the kernel counts them as failures, too", () => {
    const lost = (failures: number | null) =>
      verdict([statusOf([reset(5)], 10), statusOf([reset(8)], failures)]).lost;
    assert.deepEqual([10, 12, 13, 14, null].map(lost), [3, 3, 3, 4, 3]);
    assert.deepEqual(
      counts(verdict([statusOf([reset(5)], 0), statusOf([reset(5)], 0)])),
      [0, 0, 0],
    );
  });

  test("beside those that the policy dropped", () => {
    const readings = [reset(0), reset(3, { decisions: [dropped(2)] })];
    assert.equal(verdict(readings.map((group) => statusOf([group], 0))).lost, 5);
  });

  test("of a group that is not measured are left out", () => {
    const other = (count: number) => reset(count, { name: "other", firstProgramId: 2, port: 81 });
    const mine = groupStatus({ decisions: [selected(1)] });
    const readings = [statusOf([mine, other(0)], 0), statusOf([mine, other(9)], 11)];
    assert.equal(verdict(readings, [":80"]).lost, 2);
    assert.equal(verdict(readings).lost, 11);
  });
});

describe("a final ACK at a full accept queue", () => {
  const acks = (count: number) => groupStatus({ decisions: [selected(count, "handshake_ack")] });
  const start = statusOf([acks(0)], 0);
  const lostMovedDelayed = ({ lost, moved, delayed }: ReturnType<typeof verdict>) => [
    lost,
    moved,
    delayed,
  ];

  test("is delayed: each try fails in the kernel, overflows a queue, and was let pass", () => {
    // 20 connections, 43 tries that failed.
    const end = statusOf([acks(63)], 43, { success: 20, overflows: 43 });
    assert.deepEqual(lostMovedDelayed(verdict([start, end])), [0, 20, 43]);
  });

  test("is lost if it is reset, by tcp_abort_on_overflow", () => {
    const end = statusOf([acks(20)], 19, { success: 1, overflows: 19 });
    assert.deepEqual(lostMovedDelayed(verdict([start, end], [], true)), [19, 20, 0]);
  });

  test("hides no loss: what was not let pass, what did not overflow, what was no ACK", () => {
    const beside = statusOf([acks(63)], 48, { success: 20, overflows: 43 });
    assert.deepEqual(lostMovedDelayed(verdict([start, beside])), [5, 20, 43]);
    // SYNs overflow as well: the program let only 23 pass that the kernel did not migrate.
    const syns = statusOf([acks(43)], 48, { success: 20, overflows: 1000 });
    assert.deepEqual(lostMovedDelayed(verdict([start, syns])), [25, 20, 23]);
    const closed = groupStatus({ decisions: [selected(3)] });
    const race = statusOf([closed], 3, { overflows: 1000 });
    assert.deepEqual(lostMovedDelayed(verdict([start, race])), [3, 3, 0]);
  });

  test("hides no loss at another time than the overflows", () => {
    const overflow = statusOf([acks(0)], 0, { overflows: 1000 });
    const later = statusOf([acks(5)], 5, { overflows: 1000 });
    assert.deepEqual(lostMovedDelayed(verdict([start, overflow, later])), [5, 5, 0]);
  });

  test("of a group that is not measured does not make fewer of those that migrated", () => {
    const other = (count: number) =>
      groupStatus({
        name: "other",
        programId: 2,
        port: 81,
        decisions: [selected(count, "handshake_ack")],
      });
    const mine = groupStatus({ decisions: [selected(4)] });
    const readings = [
      statusOf([groupStatus({}), other(0)], 0),
      statusOf([mine, other(9)], 9, { success: 4, overflows: 9 }),
    ];
    assert.deepEqual(lostMovedDelayed(verdict(readings, [":80"])), [0, 4, 9]);
  });
});

describe("what is waited for", () => {
  const waiting = (...listeners: GroupStatus["listeners"]) =>
    verdict([statusOf([groupStatus({ generation: 2, listeners })], 0)]).meter.waiting.length > 0;

  test("is a queue or a handshake on an older generation's listener, or a standby's", () => {
    assert.equal(waiting(listenerStatus({ generation: 1, queueLength: 1 })), true);
    assert.equal(waiting(listenerStatus({ generation: 1, halfOpen: 1 })), true);
    assert.equal(waiting(listenerStatus({ role: "standby", generation: null, halfOpen: 1 })), true);
    assert.equal(waiting(listenerStatus({ generation: 1 })), false);
    assert.equal(waiting(listenerStatus({ generation: 2, queueLength: 9 })), false);
    assert.equal(waiting(listenerStatus({ generation: null, queueLength: 9 })), false);
  });
});

describe("the text", () => {
  const outcome = (change: Partial<RunReport>, after: GroupStatus, failures = 0): RunReport => ({
    verdict: verdict([statusOf([groupStatus({})], 0), statusOf([after], failures)]),
    ending: { code: 0, signal: null },
    settled: "settled",
    settleMs: 2_000,
    waiting: [],
    maxLost: 0,
    exitCode: 0,
    ...change,
  });

  test("is a table by stage, where they went, and the verdict last", () => {
    const after = groupStatus({
      generation: 2,
      listeners: [listenerStatus({ generation: 2, migratedInto: 140 })],
      decisions: [selected(140), gone(3), { stage: "syn", outcome: "kernel", count: 40 }],
    });
    assert.deepEqual(outcomeText(outcome({}, after)).split("\n"), [
      "0.0.0.0:80  service :80, netns 7",
      "    stage          migrated  kernel  dropped  fell back",
      "    accept_queue        140       0        0  0",
      "    handshake_ack         0       0        0  3 (gone 3)",
      "  migrated to generation 2 (newest): 140, by the kernel's hash: 3",
      "  new connections: 40",
      "ok: 0 lost of 143 connections that migrated",
    ]);
  });

  test("says that nothing had to migrate; ok only if the command ended well", () => {
    const after = groupStatus({});
    const last = (change: Partial<RunReport>) =>
      outcomeText(outcome(change, after)).split("\n").at(-1);
    assert.equal(last({}), "ok: no connection had to migrate");
    const ending = { code: 7, signal: null };
    assert.equal(last({ ending }), "no connection had to migrate");
  });

  test("says what was held and reset", () => {
    const holds = holdCounts({ connections: { handed_over: 0, reset: 1 } });
    const text = outcomeText(outcome({}, groupStatus({ holds }), 3));
    assert.deepEqual(text.split("\n").slice(1), [
      "  no connection had to migrate",
      "  lost: 1 held connection was reset",
      "netns 7: 2 could not migrate: no listener was left, or the kernel failed",
      "failed: 3 lost of 3 connections that had to migrate: --max-lost allows 0",
    ]);
  });

  test("says what was delayed", () => {
    const after = groupStatus({ decisions: [selected(25, "handshake_ack")] });
    const readings = [
      statusOf([groupStatus({})], 0),
      statusOf([after], 5, { success: 20, overflows: 5 }),
    ];
    const text = outcomeText(outcome({ verdict: verdict(readings) }, after));
    assert.deepEqual(text.split("\n").slice(-2), [
      "netns 7: final ACKs found an accept queue full 5 times: delayed, not lost",
      "ok: 0 lost of 20 connections that migrated",
    ]);
  });

  test("says what was lost and why, how the command ended, and that it did not come to rest", () => {
    const after = groupStatus({ decisions: [dropped(4)] });
    const listeners = [listenerStatus({ queueLength: 3, halfOpen: 1 })];
    const waiting = [groupStatus({ listeners })];
    const ending = { code: null, signal: "SIGTERM" } as const;
    const text = outcomeText(outcome({ settled: "limit", waiting, ending }, after, 6));
    assert.deepEqual(text.split("\n").slice(-4), [
      "netns 7: 2 could not migrate: no listener was left, or the kernel failed",
      "not settled after 32s; 0.0.0.0:80 has 3 queued, 1 half-open",
      "the command ended by SIGTERM",
      "failed: 6 lost of 6 connections that had to migrate: --max-lost allows 0",
    ]);
  });
});
