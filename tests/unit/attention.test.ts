import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Listener, Queues } from "../../loader/core/listener.ts";
import {
  hasChanged,
  isDue,
  type LastRefresh,
  needsReread,
  nextRereadMs,
  REREAD_MS,
} from "../../loader/manage/refresh_schedule.ts";

function listener(cookie: bigint): Listener {
  const key = {
    netns: 1,
    family: "ipv4",
    address: "127.0.0.1",
    port: 80,
    ifindex: 0,
    v6only: false,
  } as const;
  return {
    ...{ cookie, key, protocol: "tcp", uid: 0, reuseport: true, group: 1n, groupSize: 2 },
    ...{ programId: 5, sockarray: false, keyed: false, incomingCpu: -1 },
    owners: [{ pid: 7, fd: 3, comm: "server", startMs: 1 }],
  };
}

describe("a group is due for a refresh", () => {
  const STANDBY = 9n;
  const members = [listener(1n), listener(STANDBY)];
  const idle: Queues = { length: 0, limit: 16, halfOpen: 0 };
  const queues = new Map([
    [1n, idle],
    [STANDBY, idle],
  ]);
  const last: LastRefresh = {
    members,
    standby: STANDBY,
    standbyQueues: idle,
    refreshDueMs: 1_000,
    rereadDueMs: 2_000,
  };

  test("at first, and not again while nothing changes", () => {
    assert.equal(isDue(null, members, queues, 0), true);
    assert.equal(isDue(last, members, queues, 999), false);
    assert.equal(isDue(last, members, new Map(queues), 999), false);
  });

  test("when it is time, whatever is seen", () => {
    assert.equal(isDue(last, members, queues, 1_000), true);
    const unhurried = { ...last, refreshDueMs: Number.POSITIVE_INFINITY };
    assert.equal(isDue(unhurried, members, queues, 1_999), false);
    assert.equal(isDue(unhurried, members, queues, 2_000), true, "its pins are read again");
  });

  test("when it is invalidated, which is no change of its members", () => {
    const invalidated = { ...last, rereadDueMs: Number.NEGATIVE_INFINITY };
    assert.equal(isDue(invalidated, members, queues, 0), true);
    assert.equal(hasChanged(invalidated, members, queues), false);
  });

  test("its pins are read at first, when it is time, and when invalidated; not for what listeners do", () => {
    assert.equal(needsReread(null, 0), true);
    assert.equal(needsReread(last, 1_999), false);
    assert.equal(needsReread(last, 2_000), true);
    assert.equal(isDue(last, [listener(1n)], queues, 0), true);
    assert.equal(needsReread(last, 0), false);
    assert.equal(needsReread({ ...last, rereadDueMs: Number.NEGATIVE_INFINITY }, 0), true);
  });

  test("when a listener comes, leaves, or changes: then a snapshot has another array", () => {
    const due = (now: readonly Listener[]) =>
      isDue(last, now, queues, 0) && hasChanged(last, now, queues);
    assert.equal(due([...members, listener(2n)]), true);
    assert.equal(due([listener(STANDBY)]), true);
    assert.equal(due([...members]), true);
    assert.equal(due([]), true);
    assert.equal(due(members), false);
  });

  test("not while it stays empty, though no array says so twice", () => {
    const empty = { ...last, members: [], standby: 0n, standbyQueues: undefined };
    assert.equal(isDue(empty, [], new Map(), 0), false);
    assert.equal(isDue(empty, members, queues, 0), true);
  });

  test("not for a queue, except that of the standby", () => {
    const due = (cookie: bigint, now: Queues) =>
      isDue(last, members, new Map([...queues, [cookie, now]]), 0);
    assert.equal(due(1n, { ...idle, length: 3 }), false);
    assert.equal(due(STANDBY, { ...idle, length: 1 }), true);
    assert.equal(due(STANDBY, { ...idle, halfOpen: 1 }), true);
  });

  test("reads of the pins are spread, and none is later than the limit", () => {
    assert.equal(nextRereadMs(0, 1), REREAD_MS);
    assert.ok(nextRereadMs(0, 0) >= REREAD_MS / 2);
  });
});
