/** nginx with a listener a worker, between 4 workers and 1: every shrink closes three listeners. */
import { test } from "node:test";
import { migrated, SidecarProcess } from "../helpers/product/sidecar.ts";
import { Nginx } from "../helpers/servers/nginx.ts";
import { assertNoneLost, assertSomeLost, reloadUnderLoad, report, rowsOf } from "./scenario.ts";

const SERVER = { port: 8082, workers: 4 };
const SPEC = "127.0.0.1:8082";

/** 4 -> 1 -> 4 -> 1 ... */
const workersAfter = (reload: number) => (reload % 2 === 1 ? 1 : SERVER.workers);

test("nginx without the sidecar loses connections", { timeout: 120_000 }, async (t) => {
  await using nginx = await Nginx.start(SERVER);
  const measured = await reloadUnderLoad({
    port: SERVER.port,
    reloads: 10,
    reload: (n) => nginx.reload(workersAfter(n)),
  });
  report(t, rowsOf("without", measured));
  assertSomeLost(measured);
});

test("nginx with the sidecar loses none", { timeout: 240_000 }, async (t) => {
  await using nginx = await Nginx.start(SERVER);
  await using sidecar = await SidecarProcess.attach(SPEC);
  const measured = await reloadUnderLoad({
    port: SERVER.port,
    reloads: 100,
    reload: (n) => nginx.reload(workersAfter(n)),
  });
  const counts = migrated(await sidecar.metrics());
  report(t, rowsOf("with", measured), counts);
  assertNoneLost(measured, counts);
  await sidecar.stop();
});
