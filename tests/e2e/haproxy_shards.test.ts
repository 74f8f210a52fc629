/** HAProxy with a listener a thread, reloaded with -sf and no -x. */
import { test } from "node:test";
import { Haproxy } from "../helpers/haproxy.ts";
import { migrated, SidecarProcess } from "../helpers/sidecar.ts";
import { assertNoneLost, assertSomeLost, reloadUnderLoad, report, rowsOf } from "./scenario.ts";

const SERVER = { port: 8081, threads: 4, bind: "shards by-thread" };
const SPEC = "127.0.0.1:8081";

test("haproxy by-thread without the sidecar loses", { timeout: 120_000 }, async (t) => {
  await using haproxy = await Haproxy.start(SERVER);
  const { port } = haproxy;
  const measured = await reloadUnderLoad({ port, reloads: 10, reload: () => haproxy.reload() });
  report(t, rowsOf("without", measured));
  assertSomeLost(measured);
});

test("haproxy by-thread with the sidecar loses none", { timeout: 240_000 }, async (t) => {
  await using haproxy = await Haproxy.start(SERVER);
  await using sidecar = await SidecarProcess.attach(SPEC);
  const { port } = haproxy;
  const measured = await reloadUnderLoad({ port, reloads: 100, reload: () => haproxy.reload() });
  const counts = migrated(await sidecar.metrics());
  report(t, rowsOf("with", measured), counts);
  assertNoneLost(measured, counts);
  await sidecar.stop();
});
