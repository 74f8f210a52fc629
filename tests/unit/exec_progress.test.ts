/** What exec reads from a status: does a start listen, is it done. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isDrained, listensOn } from "../../cli/exec/progress.ts";
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
    unattached: [],
    unmanaged: [],
    sidecars: [],
    kernel: new Map(),
    errors: [],
  };
}

test("a start listens on a SPEC when the program knows a listener of its", () => {
  const now = status({ ":80": [listener(1, 1), listener(2, null)], ":443": [listener(2, 1)] });
  assert.deepEqual([...listensOn(now, OLD)], [":80"]);
  assert.deepEqual([...listensOn(now, NEW)], [":443"]);
});

test("a start that listens with MPTCP does listen, though the program never knows it", () => {
  const now = status({ ":80": [listener(1, null, { protocol: "mptcp" })] });
  assert.deepEqual([...listensOn(now, OLD)], [":80"]);
});

test("an old start gets no more when a newer one listens in each of its groups", () => {
  assert.equal(isDrained(status({ ":80": [listener(1, 1)] }), OLD), false);
  assert.equal(isDrained(status({ ":80": [listener(1, 1), listener(2, 2)] }), OLD), true);
  assert.equal(isDrained(status({ ":80": [listener(1, 1), listener(2, 1)] }), OLD), false);
  assert.equal(isDrained(status({ ":80": [listener(1, 1), listener(2, null)] }), OLD), false);
  const half = { ":80": [listener(1, 1), listener(2, 2)], ":443": [listener(1, 1)] };
  assert.equal(isDrained(status(half), OLD), false);
});

test("an old start that has closed its listeners gets no more", () => {
  assert.equal(isDrained(status({ ":80": [listener(2, 2)] }), OLD), true);
  assert.equal(isDrained(status({}), OLD), true);
});

test("what waits in a queue or a handshake is still on its way to the old start", () => {
  for (const more of [{ queueLength: 1 }, { halfOpen: 1 }]) {
    const now = status({ ":80": [listener(1, 1, more), listener(2, 2)] });
    assert.equal(isDrained(now, OLD), false);
  }
});
