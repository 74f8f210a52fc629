/**
 * HAProxy reloaded with -sf and no -x, now and then while it is behind. On the
 * way the sidecar is killed, and later a new one goes on.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { migrated, SidecarProcess, samples, total } from "../helpers/product/sidecar.ts";
import { Haproxy } from "../helpers/servers/haproxy.ts";
import { assertNoneLost, assertSomeLost, reloadUnderLoad, report, rowsOf } from "./scenario.ts";

const SERVER = { port: 8080, threads: 2 };
const SPEC = "127.0.0.1:8080";

/** Every fifth reload finds the server behind: connections wait in its accept queue. */
const state = (reload: number) => ({ behind: reload % 5 === 0 });

test("haproxy -sf without the sidecar loses connections", { timeout: 120_000 }, async (t) => {
  await using haproxy = await Haproxy.start(SERVER);
  const measured = await reloadUnderLoad({
    port: SERVER.port,
    reloads: 10,
    reload: (n) => haproxy.reload(state(n)),
  });
  report(t, rowsOf("without", measured));
  assertSomeLost(measured);
});

test("haproxy -sf with a sidecar that is killed loses none", { timeout: 240_000 }, async (t) => {
  await using haproxy = await Haproxy.start(SERVER);
  await using sidecar = await SidecarProcess.attach(SPEC);
  let beforeKill = "";
  const measured = await reloadUnderLoad({
    port: SERVER.port,
    reloads: 100,
    reload: async (n) => {
      if (n === 33) {
        beforeKill = await sidecar.metrics();
        await sidecar.kill();
      }
      if (n === 66) await sidecar.start();
      await haproxy.reload(state(n));
    },
  });
  const text = await sidecar.metrics();
  report(t, rowsOf("with", measured), migrated(text));
  assertNoneLost(measured, migrated(text));
  assert.ok(migrated(text).accept_queue > 0);
  assertNotLess(beforeKill, text);
  await sidecar.stop();
});

/** Counters live in the kernel: a new sidecar goes on where the killed one was. */
function assertNotLess(before: string, after: string): void {
  const decisions = "reuseport_migrate_decisions_total";
  const now = samples(after, decisions);
  for (const [labels, value] of samples(before, decisions)) {
    assert.ok((now.get(labels) ?? -1) >= value, `${decisions}${labels} fell below ${value}`);
  }
  // By slot they move to slot="closed", so only the sums can be compared.
  const migrations = "reuseport_migrate_listener_migrations_total";
  for (const direction of ['direction="out"', 'direction="into"']) {
    assert.ok(total(before, migrations, direction) > 0);
    assert.ok(total(after, migrations, direction) >= total(before, migrations, direction));
  }
}
