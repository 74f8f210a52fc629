/** A user with very many mounts: looking for namespaces that have ended does not block a sidecar. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readMountedNetns } from "../../loader/observe/mounted_netns.ts";
import { NETNS_RESCAN_MS, NetnsLiveness } from "../../loader/observe/netns_liveness.ts";
import { ProcessList } from "../../loader/observe/process_list.ts";
import { ManyMounts } from "../helpers/hostile/mounts.ts";
import { scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

const DOUBLINGS = 13;
/** Limits of reading mounts that no host reaches. */
const WHOLE = { file: 1 << 30, all: 1 << 30, ms: 60_000 };
/** No namespace has this number. */
const ENDED = 1;

/** Returns the longest time for which the event loop does not turn while `work` is under way, ms. */
async function longestStall(work: () => Promise<void>): Promise<number> {
  let longest = 0;
  let last = performance.now();
  const look = () => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  };
  const timer = setInterval(look, 1);
  await work();
  look();
  clearInterval(timer);
  return longest;
}

test(
  "the event loop turns while mounts are read; not all of them are, and nothing is given up then",
  scene(async (s) => {
    const users = await Promise.all([1, 2, 3].map(() => ManyMounts.make(DOUBLINGS)));
    for (const user of users) s.defer(() => user[Symbol.asyncDispose]());
    const before = performance.now();
    let bytes = 0;
    for (const { pid } of users) bytes += readFileSync(`/proc/${pid}/mountinfo`).length;
    const atOnceMs = performance.now() - before;
    assert.ok(bytes > 1e6, `${bytes} bytes of mounts`);
    using liveness = new NetnsLiveness();
    let nowMs = 0;
    const isFound = () => {
      nowMs += NETNS_RESCAN_MS;
      return liveness.findEnded(new Set([ENDED]), nowMs).size === 1;
    };
    assert.equal(isFound(), false); // loads the iterator
    const stall = await longestStall(() => until("it is found", isFound, 20).then(() => {}));
    assert.ok(stall < atOnceMs / 2, `${stall} ms at a time, of ${atOnceMs} ms`);

    using list = new ProcessList();
    const read = (limits: object) => readMountedNetns(list.read(), { ...WHOLE, ...limits });
    assert.ok(await read({}));
    assert.equal(await read({ file: bytes / users.length / 2 }), null, "one process has more");
    assert.equal(await read({ all: bytes }), null, "all processes have more");
    assert.equal(await read({ ms: 0 }), null, "it takes longer");
  }),
);
