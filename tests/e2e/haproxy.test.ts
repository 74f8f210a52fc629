/**
 * HAProxy reloaded with -sf and without -x, while the sidecar is killed and later started again.
 */
import assert from "node:assert/strict";
import { samples, total } from "../helpers/product/sidecar.ts";
import { Haproxy } from "../helpers/servers/haproxy.ts";
import { reloadSuite } from "./scenario.ts";

let beforeKill = "";

reloadSuite({
  name: "HAProxy -sf, the sidecar killed and restarted",
  port: 8080,
  start: (port) => Haproxy.start({ port, threads: 2 }),
  reload: (haproxy, n) => haproxy.reload({ behind: n % 5 === 0 }),
  isBehind: true,
  beforeReload: async (sidecar, n) => {
    if (n === 33) {
      beforeKill = await sidecar.metrics();
      await sidecar.kill();
    }
    if (n === 66) await sidecar.start();
  },
  check: (metrics) => assertNotLess(beforeKill, metrics),
});

/** The counters are in the kernel, so a new sidecar continues those of the killed sidecar. */
function assertNotLess(before: string, after: string): void {
  const decisions = "reuseport_migrate_decisions_total";
  const now = samples(after, decisions);
  for (const [labels, value] of samples(before, decisions)) {
    assert.ok((now.get(labels) ?? -1) >= value, `${decisions}${labels} fell below ${value}`);
  }
  // The counts of a closed slot move to slot="closed", so only the sums can be compared.
  const migrations = "reuseport_migrate_listener_migrations_total";
  for (const direction of ['direction="out"', 'direction="into"']) {
    assert.ok(total(before, migrations, direction) > 0);
    assert.ok(total(after, migrations, direction) >= total(before, migrations, direction));
  }
}
