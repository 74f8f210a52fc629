/**
 * The sidecar is upgraded during a hold, as a package does it (prerm stops the service, postinst
 * starts it), or after a SIGKILL: to a copy of the same ABI, to the next ABI, and back again.
 */
import assert from "node:assert/strict";
import { after, describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TempDir } from "../helpers/host/child.ts";
import { lost, type Tally } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { queued } from "../helpers/net/accepted.ts";
import { BIN, runCli } from "../helpers/product/cli.ts";
import { keepers, keepersLeft } from "../helpers/product/keepers.ts";
import { NEXT_ABI, nextVersion, sameVersion } from "../helpers/product/other_version.ts";
import { holds, SidecarProcess } from "../helpers/product/sidecar.ts";
import { until } from "../helpers/until.ts";
import { Restartable } from "./restartable.ts";
import { recipe } from "./restartable_recipes.ts";
import { table } from "./scenario.ts";

const PORT = 8160;
const SPEC = `127.0.0.1:${PORT}`;
const LOAD = { port: PORT, rate: 100, concurrency: 2000, limit: Number.MAX_SAFE_INTEGER };
/** The least number of queued connections when the sidecar ends; twice as many later. */
const HELD = 20;
const PAUSE_MS = 300;
/** Generous on purpose: it only ends a test that hangs. */
const TIMEOUT_MS = 120_000;

const dir = new TempDir();
after(() => dir[Symbol.dispose]());
const same = sameVersion(dir);
const next = nextVersion(dir);

interface Measured {
  readonly tally: Tally;
  readonly metrics: string;
}

/**
 * Stops the server, ends the sidecar once connections are held, starts `bins` in turn, each during a
 * hold of its own, and starts the server.
 */
async function upgrades(
  t: TestContext,
  bins: readonly string[],
  end: (sidecar: SidecarProcess) => Promise<unknown>,
): Promise<Measured> {
  await using server = new Restartable(recipe("nginx", { port: PORT, addresses: ["127.0.0.1"] }));
  await server.start();
  await using sidecar = await SidecarProcess.attach(SPEC, "--hold", "30s", "--keep");
  using load = await LoadClient.start(LOAD);
  for (const bin of bins) {
    await sleep(PAUSE_MS);
    await server.stop();
    await queued(PORT, HELD);
    await end(sidecar);
    await sleep(PAUSE_MS); // a package is unpacked; clients connect to the keeper's standby
    sidecar.bin = bin;
    await sidecar.start();
    await keepersLeft(1);
    await server.start();
  }
  await sleep(PAUSE_MS);
  const tally = await load.stop();
  const metrics = await sidecar.metrics();
  table(t, "upgrades", [{ run: "during a hold", reloads: bins.length, tally }]);
  return { tally, metrics };
}

describe("upgrades during a hold", { timeout: TIMEOUT_MS }, () => {
  for (const [how, end] of [
    ["SIGTERM", (sidecar) => sidecar.leave()],
    ["SIGKILL", (sidecar) => sidecar.kill()],
  ] as const satisfies [string, (sidecar: SidecarProcess) => Promise<void>][]) {
    test(`${how}: same version, next ABI, and back: no connection is lost`, async (t) => {
      const bins = [same, next, BIN];
      const { tally, metrics } = await upgrades(t, bins, end);
      assert.equal(lost(tally), 0);
      // Holds are counted in records that every version reads.
      const count = bins.length;
      const expected = { started: count, handed_over: count, expired: 0, released: 0 };
      assert.deepEqual(holds(metrics, SPEC), expected);
    });
  }

  test("without the keeper, what was held and who comes then is lost", async (t) => {
    const { tally } = await upgrades(t, [next], async (sidecar) => {
      await sidecar.leave();
      for (const pid of keepers()) process.kill(pid, "SIGKILL");
    });
    assert.ok(tally.reset >= HELD, `only ${tally.reset} connections were reset`);
    assert.ok(tally.refused > 0, "no connection was refused");
    assert.equal(tally.other, 0, "a client failed by itself");
  });
});

test("commands of another version name the version that pinned a hold, and release it", {
  timeout: TIMEOUT_MS,
}, async () => {
  await using server = new Restartable(recipe("nginx", { port: PORT, addresses: ["127.0.0.1"] }));
  await server.start();
  await using sidecar = await SidecarProcess.attach(SPEC, "--hold", "30s", "--keep");
  await sidecar.leave();
  sidecar.bin = next;
  await sidecar.start();
  const status = await runCli(["status"]);
  assert.match(status.stderr + status.stdout, new RegExp(`pinned by ABI ${NEXT_ABI}`));
  const policy = await runCli(["policy", SPEC, "--route", "newest"]);
  assert.equal(policy.code, 7, policy.stderr);
  assert.match(policy.stderr, new RegExp(`pinned by ABI ${NEXT_ABI}`));
  const attach = await runCli(["attach", SPEC, "--once"]);
  assert.equal(attach.code, 7, "a running sidecar of another version is not replaced");
  assert.match(attach.stderr, /is managed by another reuseport-migrate \(pid \d+\)/);
  await server.stop();
  const released = async () => (await runCli(["release", SPEC])).code === 0;
  await until("the hold is released", released);
  await server.start();
  const detach = await runCli(["detach", SPEC]);
  assert.equal(detach.code, 0, detach.stderr);
});
