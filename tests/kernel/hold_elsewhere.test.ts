/**
 * A server that comes back on another address during a hold: its clients reach it, as they would
 * without us.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readStatus } from "../../loader/index.ts";
import { tally } from "../helpers/load/peer.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { BPFFS, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

const COUNT = 10;
const standbys = () =>
  readStatus({ bpffs: BPFFS }).groups.filter(({ hold }) => hold?.standby === true);

describe("a server that comes back", () => {
  const moves = [
    ["127.0.0.1", { address: "0.0.0.0" }],
    ["127.0.0.1", { address: "::", dual: true }],
    ["0.0.0.0", { address: "::", dual: true }],
    ["127.0.0.1", { address: "::ffff:127.0.0.1", dual: true }],
    ["::ffff:127.0.0.1", { address: "127.0.0.1" }],
    ["::ffff:127.0.0.1", { address: "0.0.0.0" }],
  ] as const;
  for (const [from, to] of moves) {
    test(
      `on ${to.address} instead of ${from} is reached, whether it starts before or after the stop`,
      scene(async (s) => {
        for (const isBefore of [false, true]) {
          const old = await s.listener({ address: from, dual: true });
          await using sidecar = await SidecarProcess.attach(`:${s.port}`, "--hold", "60s");
          assert.equal(standbys().length, 1);
          const next = isBefore ? await s.listener(to) : null;
          await next?.serve();
          await old.close();
          const now = next ?? (await s.listener(to));
          if (!next) await now.serve();
          await until("the standby of the old address is closed", () =>
            standbys().every(({ key }) => key.address === to.address),
          );
          assert.deepEqual(await tally(await s.peers(COUNT)), { [now.process.pid]: COUNT });
          await now.close();
          await sidecar.stop();
        }
      }),
    );
  }

  test(
    "on a narrower address is reached, and the hold goes on for the others",
    scene(async (s) => {
      const old = await s.listener({ address: "0.0.0.0" });
      await using sidecar = await SidecarProcess.attach(`:${s.port}`, "--hold", "60s");
      await old.close();
      const next = await s.listener({ address: "127.0.0.1" });
      await next.serve();
      assert.deepEqual(await tally(await s.peers(COUNT)), { [next.process.pid]: COUNT });
      assert.ok(standbys().some(({ key }) => key.address === "0.0.0.0"));
      await sidecar.stop();
    }),
  );
});
