/**
 * --wake: a destination that sleeps is woken by a connection of the sidecar's own. A kernel with
 * the fix wakes it by itself, so there it is forced; the same file on one that has the defect
 * (under emulation: ../shared/vm) shows what it is for.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Wake } from "../../loader/index.ts";
import { probeWakeup } from "../../loader/selftest/wakeup.ts";
import { tally } from "../helpers/load/peer.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { decisions, groupOf, listenerOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

const COUNT = 50;
const kernel = await probeWakeup();

/** Closes a listener beside an idle one, where all it had is queued then. */
async function migrateToIdle(s: Scene, wake: Wake) {
  const old = await s.listener();
  const sidecar = await s.sidecar({ wake });
  if (wake === "auto") sidecar.watch();
  const said = kernel === "asleep" ? /CVE-2026-46015/ : /^probed whether/;
  const tried = () => s.log.some(({ text }) => said.test(text));
  if (wake === "auto") await until("it has tried it out", tried);
  const { peers } = await bringTo("accept queue", COUNT, s);
  const idle = await s.listener();
  await idle.serve();
  await sidecar.reconcile();
  await sleep(100); // it sleeps by then
  await old.close();
  return { idle, peers };
}

test("what this kernel does is known", () => {
  assert.notEqual(kernel, "unknown");
});

describe("--wake", () => {
  for (const wake of ["always", "auto"] as const) {
    test(
      `${wake}: no migrated connection waits for the next client`,
      scene(async (s) => {
        const { idle, peers } = await migrateToIdle(s, wake);
        assert.deepEqual(await tally(peers), { [idle.process.pid]: COUNT });
        if (wake === "auto") assert.equal(groupOf(s.port).wakeups > 0, kernel === "asleep");
      }),
    );
  }

  test(
    "always: a destination is woken once a burst, and ours is no client's",
    scene(async (s) => {
      const old = await s.listener();
      const sidecar = await s.sidecar({ wake: "always" });
      const { peers } = await bringTo("accept queue", COUNT, s);
      const slow = await s.listener();
      await sidecar.reconcile();
      await old.close();
      await until("it is woken, by a connection of ours", () => {
        const { wakeups, listeners } = groupOf(s.port);
        return wakeups > 0 && listeners[0]?.queueLength === COUNT + wakeups;
      });
      const { wakeups } = groupOf(s.port);
      assert.ok(wakeups < COUNT, `a burst is not ${wakeups} wake-ups long`);
      assert.equal(decisions(groupOf(s.port))["accept_queue/selected"], COUNT);
      assert.equal(decisions(groupOf(s.port))["syn/kernel"], COUNT, "ours is not counted");
      await slow.serve();
      assert.deepEqual(await tally(peers), { [slow.process.pid]: COUNT });
      assert.equal(groupOf(s.port).wakeups, wakeups);
    }),
  );

  test(
    "always: a migration while another destination is being woken is not missed",
    scene(async (s) => {
      const SO_KEEPALIVE = { options: [{ level: 1, name: 9, value: 1 }] }; // a settings class
      const old = [await s.listener(), await s.listener(SO_KEEPALIVE)] as const;
      const sidecar = await s.sidecar({ wake: "always" });
      await bringTo("accept queue", 2 * COUNT, s);
      const other = await s.listener(SO_KEEPALIVE);
      await s.listener({ backlog: 1 }); // it is full then, and cannot be woken for 20 ms
      await sidecar.reconcile();
      await old[0].close();
      await sleep(12);
      await old[1].close();
      // One for the second old listener, which had a queue, and one for the destination of that.
      await until("it is woken too", () => groupOf(s.port).wakeups === 2);
      const { queueLength, migratedInto } = listenerOf(groupOf(s.port), other.cookie);
      assert.equal(queueLength, migratedInto + 1, "with a connection of ours");
    }),
  );

  test(
    "always: also a destination on every address, while another server has 127.0.0.1",
    scene(
      async (s) => {
        const other = await s.listener({ address: "127.0.0.1" });
        await other.serve();
        const old = await s.listener();
        const sidecar = await s.sidecar({ wake: "always" });
        await bringTo("accept queue", COUNT, s);
        await s.listener();
        await sidecar.reconcile();
        await old.close();
        await until("it is woken", () => groupOf(s.port).wakeups === 1);
        assert.equal(groupOf(s.port).listeners[0]?.queueLength, COUNT + 1, "and not the other one");
      },
      "0.0.0.0",
      "127.0.0.2",
    ),
  );

  test(
    "never: what the kernel does by itself",
    scene(async (s) => {
      const { idle, peers } = await migrateToIdle(s, "never");
      if (kernel === "asleep") {
        await sleep(2_000);
        assert.equal(groupOf(s.port).listeners[0]?.queueLength, COUNT, "they wait on");
        const [next] = await s.peers(1);
        assert.ok(next, "until the next client comes");
      }
      assert.deepEqual(await tally(peers), { [idle.process.pid]: COUNT });
      assert.equal(groupOf(s.port).wakeups, 0);
    }),
  );
});
