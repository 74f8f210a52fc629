/** `run` and `status --watch` beside a HAProxy that is reloaded under load: the verdict is what its clients say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Child, TempDir } from "../helpers/child.ts";
import { lost, noVisits } from "../helpers/client.ts";
import { LoadClient } from "../helpers/client_load.ts";
import { HalfOpen } from "../helpers/half_open.ts";
import { Haproxy } from "../helpers/haproxy.ts";
import { migrating, runJson } from "../helpers/run.ts";
import { SidecarProcess } from "../helpers/sidecar.ts";
import { setSysctl } from "../helpers/sysctl.ts";

const PORT = 8098;
const SPEC = `127.0.0.1:${PORT}`;
const HELD = 20;
const BIN = fileURLToPath(new URL("../../cli/bin.js", import.meta.url));

/** One reload by `run`, with handshakes held open across it; what their clients and the load's lost. */
async function reload(haproxy: Haproxy) {
  await using filter = await HalfOpen.install(PORT);
  using client = await LoadClient.start({ port: PORT, rate: 200, concurrency: 200, limit: 50_000 });
  const held = await filter.hold(HELD);
  const run = await runJson([SPEC], haproxy.reloadCommand());
  await held.release();
  const tally = await held.tally;
  const load = await client.stop();
  assert.equal(run.outcome.command.code, 0, run.stderr);
  assert.equal(run.outcome.settled, "settled");
  return { ...run, held: tally, load };
}

test("a reload of HAProxy: 0 lost, or all, and that is what clients say", async (t) => {
  setSysctl("net.ipv4.tcp_migrate_req", 0);
  await using haproxy = await Haproxy.start({ port: PORT, threads: 2 });

  {
    await using sidecar = await SidecarProcess.attach(SPEC, "--metrics", "off");
    using dir = new TempDir();
    const args = [BIN, "status", SPEC, "--watch", "--interval", "100ms"];
    await using watch = new Child(process.execPath, args, dir.file("log"));
    await watch.until("it watches", () => watch.output().includes("target"));
    const { outcome, group, held, load } = await reload(haproxy);
    assert.equal(outcome.exit_code, 0);
    assert.deepEqual([outcome.lost, lost(held), lost(load)], [0, 0, 0]);
    assert.equal(held.ok, HELD);
    const { "handshake_timer/selected": timer = 0 } = migrating(group);
    assert.equal(timer, HELD);
    assert.deepEqual(
      group.moved_into.map(({ newest }) => newest),
      [true],
    );
    assert.equal(await watch.stop("SIGINT"), 0);
    const moving = watch
      .output()
      .split("\n")
      .filter((line) => /selected|generation 2/.test(line));
    for (const line of moving.slice(0, 4)) t.diagnostic(line);
    assert.match(watch.output(), /1 target \(generation 1\); queued \d+, half-open \d+; /);
    assert.match(watch.output(), /1 target \(generation 2\); .*handshake_timer selected \d+/);
    await sidecar.stop();
  }

  await using sidecar = await SidecarProcess.attach(SPEC, "--metrics", "off", "--migrate", "off");
  const { outcome, held, load } = await reload(haproxy);
  assert.equal(outcome.exit_code, 3);
  assert.deepEqual(held, { ...noVisits(), reset: HELD });
  t.diagnostic(`--migrate off: run says ${outcome.lost}, clients ${lost(held) + lost(load)}`);
  // The kernel's race at close(), which run cannot see, may take one of the load's.
  assert.ok(outcome.lost >= HELD && outcome.lost <= lost(held) + lost(load));
  await sidecar.stop();
});
