/**
 * `run` and `status --watch` while HAProxy is reloaded under load: the verdict agrees with the
 * clients.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Child, TempDir } from "../helpers/host/child.ts";
import { lost } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { HalfOpen } from "../helpers/load/half_open.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { BIN } from "../helpers/product/cli.ts";
import { migrating, runJson } from "../helpers/product/run_json.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { Haproxy } from "../helpers/servers/haproxy.ts";

const PORT = 8098;
const SPEC = `127.0.0.1:${PORT}`;
const HELD = 20;

test("run reports 0 lost connections for a reload of HAProxy, and the clients agree", async (t) => {
  setSysctl("net.ipv4.tcp_migrate_req", 0);
  await using haproxy = await Haproxy.start({ port: PORT, threads: 2 });
  await using sidecar = await SidecarProcess.attach(SPEC, "--metrics", "off");
  using dir = new TempDir();
  const args = [BIN, "status", SPEC, "--watch", "--interval", "100ms"];
  await using watch = new Child(process.execPath, args, dir.file("log"));
  await watch.until("status --watch prints targets", () => watch.output().includes("target"));

  await using filter = await HalfOpen.install(PORT);
  using client = await LoadClient.start({ port: PORT, rate: 200, concurrency: 200, limit: 50_000 });
  const held = await filter.hold(HELD);
  const { outcome, group, stderr } = await runJson([SPEC], haproxy.reloadCommand());
  await held.release();
  const tally = await held.tally;
  const load = await client.stop();

  assert.equal(outcome.exit_code, 0, stderr);
  assert.equal(outcome.settled, "settled");
  assert.deepEqual([outcome.lost, lost(tally), lost(load)], [0, 0, 0]);
  assert.equal(migrating(group)["handshake_timer/selected"], HELD);
  assert.deepEqual(
    group.moved_into.map(({ newest }) => newest),
    [true],
  );
  assert.equal(await watch.stop("SIGINT"), 0);
  const lines = watch.output().split("\n");
  for (const line of lines.filter((text) => text.includes("selected"))) t.diagnostic(line);
  assert.match(watch.output(), /1 target \(generation 1\); queued \d+, half-open 20; /);
  assert.match(watch.output(), /; queued .*handshake_timer selected \d+/);
  await sidecar.stop();
});
