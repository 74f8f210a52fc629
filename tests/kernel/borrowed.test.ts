/**
 * A borrowed file descriptor never outlives its use: one that did would keep a
 * listener in its group after its owner's close(), and new connections would
 * wait there for ever.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { borrowedFds } from "../helpers/host/fds.ts";
import { tally } from "../helpers/load/peer.ts";
import { listening } from "../helpers/net/netstat.ts";
import { scene } from "../helpers/scene/scene.ts";

const COUNT = 50;

describe("an owner's close() closes", () => {
  for (const route of ["kernel", "newest"] as const) {
    test(
      `no new connection is black-holed, --route ${route}`,
      scene(async (s) => {
        const one = await s.listener();
        const two = await s.listener();
        await two.serve();
        const sidecar = await s.sidecar({ route });
        await one.close();
        assert.equal(listening(s.port), 1);
        assert.deepEqual(await tally(await s.peers(COUNT)), { [two.process.pid]: COUNT });
        await sidecar.reconcile();
        assert.deepEqual(await tally(await s.peers(COUNT)), { [two.process.pid]: COUNT });
      }),
    );
  }

  test(
    "with the last listener gone connections are refused, as without us",
    scene(async (s) => {
      const only = await s.listener();
      const sidecar = await s.sidecar();
      await only.close();
      assert.equal(listening(s.port), 0);
      assert.deepEqual(await tally(await s.peers(3)), { ECONNREFUSED: 3 });
      await sidecar.reconcile();
      assert.deepEqual(await tally(await s.peers(3)), { ECONNREFUSED: 3 });
    }),
  );

  test(
    "after a sidecar has come and gone too",
    scene(async (s) => {
      const one = await s.listener();
      await s.listener();
      await (await s.sidecar()).close({ keep: false });
      assert.deepEqual(borrowedFds(), []);
      await one.close();
      assert.equal(listening(s.port), 1);
    }),
  );
});

describe("owners that are gone when we come to borrow", () => {
  test(
    "are skipped",
    scene(async (s) => {
      const steady = await s.listener();
      await steady.serve();
      const fleeting = await s.process();
      const sidecar = await s.sidecar();
      let churning = true;
      const churn = fleeting.churn({ address: s.address, port: s.port }, 20_000).finally(() => {
        churning = false;
      });
      while (churning) {
        await sidecar.reconcile();
        await new Promise(setImmediate);
      }
      await churn;
      await sidecar.reconcile();

      // Of listeners that come and go within a millisecond some were seen, and borrowed in vain.
      const said = (event: string) => s.log.filter((e) => e.event === event).length;
      assert.ok(said("listener_added") > 10, `${said("listener_added")} seen`);
      assert.deepEqual(
        s.log.filter(({ level }) => level !== "info"),
        [],
      );
      assert.equal(listening(s.port), 1, "a listener that its owner closed is still there");
      assert.deepEqual(await tally(await s.peers(10)), { [steady.process.pid]: 10 });
    }),
  );
});
