/**
 * A server that a standby keeps from listening, because it has another user or does not set
 * SO_REUSEPORT: the hold ends for it at its second start, as the first may be a test, and its third
 * one listens, as its first would without us.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { tally } from "../helpers/load/peer.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import type { Listener, ListenOptions } from "../helpers/servers/listener.ts";
import { until } from "../helpers/until.ts";

const COUNT = 5;
const AS_ANOTHER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
/** Between two starts, ms: as systemd makes them (RestartSec=). */
const RETRY_MS = 100;

/** Starts a server until it listens; returns it and the number of starts. */
async function start(
  s: Scene,
  options: Partial<ListenOptions>,
  under: readonly string[],
): Promise<[Listener, number]> {
  const process = await s.process(under);
  for (let starts = 1; ; starts++) {
    try {
      return [await s.listener(options, process), starts];
    } catch (error) {
      assert.match((error as Error).message, /EADDRINUSE/);
      assert.ok(starts < 5, "5 starts failed");
      await sleep(RETRY_MS);
    }
  }
}

describe("during a hold", () => {
  const servers: [string, Partial<ListenOptions>, readonly string[]][] = [
    ["of another user", {}, AS_ANOTHER],
    ["without SO_REUSEPORT", { reuseport: false }, []],
    ["on every address without SO_REUSEPORT", { reuseport: false, address: "0.0.0.0" }, []],
  ];
  for (const [what, options, under] of servers) {
    test(
      `a server ${what} listens at its third start, and is reached`,
      scene(async (s) => {
        const old = await s.listener();
        await using sidecar = await SidecarProcess.attach(s.spec, "--hold", "60s");
        await old.close();
        await s.peers(COUNT); // held, and then reset
        const [next, starts] = await start(s, options, under);
        assert.ok(starts <= 3, `${starts} starts`);
        await next.serve();
        assert.deepEqual(await tally(await s.peers(COUNT)), { [next.process.pid]: COUNT });
        const said = /binds to the port .*which the standby made fail/;
        await until("the sidecar says why", () => said.test(sidecar.output()));
        await next.close();
        await sidecar.stop();
      }),
    );
  }

  test(
    "a test of a configuration, which binds without SO_REUSEPORT and ends, costs nothing",
    scene(async (s) => {
      const old = await s.listener();
      await using sidecar = await SidecarProcess.attach(s.spec, "--hold", "60s");
      await old.close();
      const peers = await s.peers(COUNT);
      const tester = await s.process();
      await assert.rejects(s.listener({ reuseport: false }, tester), /EADDRINUSE/);
      await tester.kill();
      await sleep(10 * RETRY_MS); // a large configuration takes its time
      const next = await s.listener();
      await next.serve();
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      assert.doesNotMatch(sidecar.output(), /standby made fail/);
      await sidecar.stop();
    }),
  );

  test(
    "a server that is started once more much later listens then",
    scene(async (s) => {
      const old = await s.listener();
      await using sidecar = await SidecarProcess.attach(s.spec, "--hold", "60s");
      await old.close();
      const server = await s.process();
      await assert.rejects(s.listener({ reuseport: false }, server), /EADDRINUSE/);
      const said = /binds to the port .*which the standby made fail/;
      await until("the sidecar says why", () => said.test(sidecar.output()));
      await (await s.listener({ reuseport: false }, server)).close();
      await sidecar.stop();
    }),
  );

  test(
    "a server that can listen beside the standby gets what is held",
    scene(async (s) => {
      const old = await s.listener();
      await using sidecar = await SidecarProcess.attach(s.spec, "--hold", "60s");
      await old.close();
      const peers = await s.peers(COUNT);
      const next = await s.listener();
      await next.serve();
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      await sidecar.stop();
    }),
  );
});

test(
  "while a server listens, a bind that fails by it changes nothing",
  scene(async (s) => {
    const server = await s.listener();
    await server.serve();
    await using sidecar = await SidecarProcess.attach(s.spec, "--hold", "60s");
    const other = await s.process(AS_ANOTHER);
    await assert.rejects(s.listener({}, other), /EADDRINUSE/);
    await sleep(RETRY_MS);
    await server.close();
    const peers = await s.peers(COUNT);
    const next = await s.listener();
    await next.serve();
    assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
    await sidecar.stop();
  }),
);
