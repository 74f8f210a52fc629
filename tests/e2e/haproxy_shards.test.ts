/** HAProxy with a listener a thread, reloaded with -sf and no -x, now and then while it is behind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { migrated, SidecarProcess } from "../helpers/product/sidecar.ts";
import { Haproxy } from "../helpers/servers/haproxy.ts";
import { assertNoneLost, assertSomeLost, reloadUnderLoad, report, rowsOf } from "./scenario.ts";

const SERVER = { port: 8081, threads: 4, bind: "shards by-thread" };
const SPEC = "127.0.0.1:8081";

/** Every fifth reload finds the server behind: connections wait in its accept queues. */
const state = (reload: number) => ({ behind: reload % 5 === 0 });

test("haproxy by-thread without the sidecar loses", { timeout: 120_000 }, async (t) => {
  await using haproxy = await Haproxy.start(SERVER);
  const measured = await reloadUnderLoad({
    port: SERVER.port,
    reloads: 10,
    reload: (n) => haproxy.reload(state(n)),
  });
  report(t, rowsOf("without", measured));
  assertSomeLost(measured);
});

test("haproxy by-thread with the sidecar loses none", { timeout: 240_000 }, async (t) => {
  await using haproxy = await Haproxy.start(SERVER);
  await using sidecar = await SidecarProcess.attach(SPEC);
  const measured = await reloadUnderLoad({
    port: SERVER.port,
    reloads: 100,
    reload: (n) => haproxy.reload(state(n)),
  });
  const counts = migrated(await sidecar.metrics());
  report(t, rowsOf("with", measured), counts);
  assertNoneLost(measured, counts);
  assert.ok(counts.accept_queue > 0);
  await sidecar.stop();
});
