/**
 * --wake: a destination that sleeps is woken by a connection of the sidecar's own. This kernel wakes
 * it by itself (wakeup.test.ts), so here it is forced; `make wake-vm` is the same where it must.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { probeWakeup } from "../../loader/index.ts";
import { tally } from "../helpers/peer.ts";
import { type Scene, scene } from "../helpers/scene.ts";
import { bringTo } from "../helpers/stages.ts";
import { decisions, groupOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const COUNT = 50;

/** Closes a listener beside an idle one; all it had is served there. */
async function migrateToIdle(s: Scene, wake: "always" | "never") {
  const old = await s.listener();
  const sidecar = s.sidecar({ wake });
  const { peers } = await bringTo("accept queue", COUNT, s);
  const idle = await s.listener();
  await idle.serve();
  sidecar.reconcile();
  await old.close();
  return { idle, peers };
}

describe("--wake", () => {
  test(
    "always: one connection of ours for a burst, counted, and no client notices",
    scene(async (s) => {
      const { idle, peers } = await migrateToIdle(s, "always");
      assert.deepEqual(await tally(peers), { [idle.process.pid]: COUNT });
      const fresh = await s.listener();
      assert.deepEqual(await tally(await s.peers(1)), { [idle.process.pid]: 1 });
      await fresh.close();
    }),
  );

  test(
    "always: a destination that does not accept is woken once a burst",
    scene(async (s) => {
      const old = await s.listener();
      const sidecar = s.sidecar({ wake: "always" });
      const { peers } = await bringTo("accept queue", COUNT, s);
      const slow = await s.listener();
      sidecar.reconcile();
      await old.close();
      await until("it is woken", () => groupOf(s.port).wakeups === 1);
      const { listeners } = groupOf(s.port);
      assert.equal(listeners[0]?.queueLength, COUNT + 1, "with a connection of ours");
      assert.equal(decisions(groupOf(s.port))["accept_queue/selected"], COUNT);
      const syns = decisions(groupOf(s.port))["syn/kernel"];
      assert.equal(syns, COUNT, "ours is no client's, and not counted");
      await slow.serve();
      assert.deepEqual(await tally(peers), { [slow.process.pid]: COUNT });
      assert.equal(groupOf(s.port).wakeups, 1);
    }),
  );

  test(
    "never: nobody is woken",
    scene(async (s) => {
      const { idle, peers } = await migrateToIdle(s, "never");
      assert.deepEqual(await tally(peers), { [idle.process.pid]: COUNT });
      assert.equal(groupOf(s.port).wakeups, 0);
    }),
  );

  test("auto asks the kernel, which has the fix here", async () => {
    assert.equal(await probeWakeup(), "woken");
  });
});
