import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Listener } from "../../loader/core/listener.ts";
import { CHECK_MS, nextCheckMs, RefreshSchedule } from "../../loader/manage/refresh_schedule.ts";

const OWNERS = [{ pid: 7, fd: 3, comm: "server", startMs: 1 }];

function listener(cookie: bigint, more: Partial<Listener> = {}): Listener {
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
    ...{
      programId: 5,
      sockarray: false,
      queueLength: 0,
      queueLimit: 16,
      halfOpen: 0,
      owners: OWNERS,
    },
    ...more,
  };
}

describe("when a group is looked after", () => {
  const STANDBY = 9n;
  const members = [listener(1n), listener(STANDBY)];

  function settled(): RefreshSchedule {
    const attention = new RefreshSchedule();
    attention.refreshed(members, STANDBY, 1_000);
    attention.reread(2_000);
    return attention;
  }

  test("at first, and not again while nothing changes", () => {
    assert.equal(new RefreshSchedule().isDue(members, 0), true);
    assert.equal(settled().isDue(members, 999), false);
    assert.equal(settled().isDue([...members], 999), false);
  });

  test("when it is time, whatever is seen", () => {
    assert.equal(settled().isDue(members, 1_000), true);
    const unhurried = settled();
    unhurried.refreshed(members, STANDBY, Number.POSITIVE_INFINITY);
    assert.equal(unhurried.isDue(members, 1_999), false);
    assert.equal(unhurried.isDue(members, 2_000), true, "to be checked");
  });

  test("when it is demanded", () => {
    const attention = settled();
    attention.invalidate();
    assert.equal(attention.isDue(members, 0), true);
    attention.refreshed(members, STANDBY, 1_000);
    assert.equal(attention.isDue(members, 0), true, "until it was checked");
  });

  test("what is pinned is read at first, when it is time, and on demand; not for what listeners do", () => {
    assert.equal(new RefreshSchedule().needsReread(0), true);
    const attention = settled();
    assert.equal(attention.needsReread(1_999), false);
    assert.equal(attention.needsReread(2_000), true);
    assert.equal(attention.isDue([listener(1n)], 0), true);
    assert.equal(attention.needsReread(0), false);
    attention.invalidate();
    assert.equal(attention.needsReread(0), true);
  });

  test("when a listener comes, leaves, or is other than it was", () => {
    const due = (now: readonly Listener[]) => settled().isDue(now, 0);
    assert.equal(due([...members, listener(2n)]), true);
    assert.equal(due([listener(STANDBY)]), true);
    assert.equal(due([listener(1n, { owners: [...OWNERS] }), listener(STANDBY)]), true);
  });

  test("not for a queue, but the standby's", () => {
    const due = (now: readonly Listener[]) => settled().isDue(now, 0);
    assert.equal(due([listener(1n, { queueLength: 3 }), listener(STANDBY)]), false);
    assert.equal(due([listener(1n), listener(STANDBY, { queueLength: 1 })]), true);
    assert.equal(due([listener(1n), listener(STANDBY, { halfOpen: 1 })]), true);
  });

  test("checks are spread, and none is later than it is said", () => {
    assert.equal(nextCheckMs(0, 1), CHECK_MS);
    assert.ok(nextCheckMs(0, 0) >= CHECK_MS / 2);
  });
});
