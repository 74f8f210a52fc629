/** What exec reads from a status: does a start listen, is it done. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { getsNoMore, listensOn } from "../../cli/exec/progress.ts";
import type { GroupStatus, ListenerStatus, Status } from "../../loader/index.ts";

const OLD = { has: (pid: number) => pid === 1 };
const NEW = { has: (pid: number) => pid === 2 };

function listener(pid: number, generation: number | null, more: Partial<ListenerStatus> = {}) {
  return {
    slot: generation,
    generation,
    owners: [{ pid, fd: 3, comm: "server", startMs: 0 }],
    queueLength: 0,
    halfOpen: 0,
    ...more,
  };
}

/** As much of a status as is read: a group a service. */
function status(groups: Record<string, ReturnType<typeof listener>[]>): Status {
  const all = Object.entries(groups).map(([service, listeners]) => ({ service, listeners }));
  return {
    groups: all as unknown as GroupStatus[],
    adoptions: [],
    unmanaged: [],
    kernel: new Map(),
    errors: [],
  };
}

test("a start listens on a SPEC when the program knows a listener of its", () => {
  const now = status({ ":80": [listener(1, 1), listener(2, null)], ":443": [listener(2, 1)] });
  assert.deepEqual([...listensOn(now, OLD)], [":80"]);
  assert.deepEqual([...listensOn(now, NEW)], [":443"]);
});

test("an old start gets no more when a newer one listens in each of its groups", () => {
  assert.equal(getsNoMore(status({ ":80": [listener(1, 1)] }), OLD), false);
  assert.equal(getsNoMore(status({ ":80": [listener(1, 1), listener(2, 2)] }), OLD), true);
  assert.equal(getsNoMore(status({ ":80": [listener(1, 1), listener(2, 1)] }), OLD), false);
  assert.equal(getsNoMore(status({ ":80": [listener(1, 1), listener(2, null)] }), OLD), false);
  const half = { ":80": [listener(1, 1), listener(2, 2)], ":443": [listener(1, 1)] };
  assert.equal(getsNoMore(status(half), OLD), false);
});

test("an old start that has closed its listeners gets no more", () => {
  assert.equal(getsNoMore(status({ ":80": [listener(2, 2)] }), OLD), true);
  assert.equal(getsNoMore(status({}), OLD), true);
});

test("what waits in a queue or a handshake is still on its way to the old start", () => {
  for (const more of [{ queueLength: 1 }, { halfOpen: 1 }]) {
    const now = status({ ":80": [listener(1, 1, more), listener(2, 2)] });
    assert.equal(getsNoMore(now, OLD), false);
  }
});
