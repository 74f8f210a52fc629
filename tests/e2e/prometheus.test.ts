/** A real Prometheus server scrapes a sidecar while its server is reloaded. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { FIRST, writeWebConfig } from "../helpers/product/certificates.ts";
import { Prometheus, promtoolCheck } from "../helpers/product/prometheus.ts";
import { migrated, SidecarProcess } from "../helpers/product/sidecar.ts";
import { Haproxy } from "../helpers/servers/haproxy.ts";
import { reloadUnderLoad } from "./scenario.ts";

const SERVER = { port: 8084, threads: 2 };

test("Prometheus scrapes the metrics, and promtool accepts them", {
  timeout: 120_000,
}, async (t) => {
  await using haproxy = await Haproxy.start(SERVER);
  await using sidecar = await SidecarProcess.attach("127.0.0.1:8084", "--metrics", "9945");
  await using prometheus = await Prometheus.start(sidecar.metricsUrl);
  const { port } = haproxy;
  await reloadUnderLoad({ port, reloads: 5, reload: () => haproxy.reload() });

  const text = await sidecar.metrics();
  assert.deepEqual(promtoolCheck(text), { status: 0, output: "" });

  await prometheus.until("the target is up", async () => {
    const [up] = await prometheus.query("up");
    return up?.value === 1;
  });
  const expected = migrated(text).handshake_ack;
  assert.ok(expected > 0);
  const query = 'sum(reuseport_migrate_decisions_total{stage="handshake_ack"})';
  await prometheus.until(`${query} is ${expected}`, async () => {
    const [sum] = await prometheus.query(query);
    return sum?.value === expected;
  });
  const decisions = await prometheus.query("reuseport_migrate_decisions_total > 0");
  for (const { metric, value } of decisions) t.diagnostic(`${value} ${JSON.stringify(metric)}`);
  await sidecar.stop();
});

test("Prometheus scrapes over TLS with the right password, and not with another", {
  timeout: 120_000,
}, async () => {
  using dir = new TempDir();
  const file = writeWebConfig(dir.path, FIRST, ["prom", "secret"]);
  await using sidecar = await SidecarProcess.attach(
    ...["127.0.0.1:8084", "--wait", "--metrics", "9945", "--web-config", file],
  );
  for (const [password, up] of [
    ["secret", 1],
    ["wrong", 0],
  ] as const) {
    const scrape = {
      basic_auth: { username: "prom", password },
      tls_config: { ca_file: dir.file("cert.pem") },
    };
    await using prometheus = await Prometheus.start(sidecar.metricsUrl, { scrape });
    await prometheus.until(`up is ${up}`, async () => {
      const [found] = await prometheus.query("up");
      return found?.value === up;
    });
    const series = await prometheus.query("reuseport_migrate_build_info");
    assert.equal(series.length, up);
  }
  await sidecar.stop();
});
