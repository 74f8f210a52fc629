/**
 * Every query of the dashboard, run by a real Prometheus that has scraped a reload, a stop and
 * start, and a hold that expired. DASHBOARD_SVG=FILE draws them (docs/dashboard.svg).
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { LoadClient } from "../helpers/load/client_load.ts";
import { Prometheus, type Series } from "../helpers/product/prometheus.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { Haproxy } from "../helpers/servers/haproxy.ts";
import { expanded, readDashboard } from "./dashboard.ts";
import { drawn } from "./dashboard_picture.ts";
import { Restartable } from "./restartable.ts";
import { recipe } from "./restartable_recipes.ts";
import { reloadUnderLoad } from "./scenario.ts";

const RULES = fileURLToPath(new URL("../../../deploy/prometheus/rules.yml", import.meta.url));
const [RELOADED, STOPPED] = [8086, 8087];
const HOLD_MS = 3_000;
/** So long that Prometheus scrapes the state before and after. */
const PAUSE_MS = 2_000;

const seconds = () => Date.now() / 1000;

test("a reload, a stop and start, an expired hold: every query returns data, and one alert fires", {
  timeout: 180_000,
}, async (t) => {
  await using haproxy = await Haproxy.start({ port: RELOADED, threads: 2 });
  await using server = new Restartable(recipe("Node", { port: STOPPED, addresses: ["127.0.0.1"] }));
  await server.start();
  const specs = [RELOADED, STOPPED].map((port) => `127.0.0.1:${port}`);
  await using sidecar = await SidecarProcess.attach(
    ...[...specs, "--metrics", "9946", "--hold", `${HOLD_MS}ms`],
  );
  const begun = seconds();
  await using prometheus = await Prometheus.start(sidecar.metricsUrl, { rules: [RULES] });
  await prometheus.until("it is scraped", async () => (await prometheus.query("up")).length > 0);
  await sleep(PAUSE_MS);

  await reloadUnderLoad({ port: RELOADED, reloads: 6, reload: () => haproxy.reload() });
  {
    using load = await LoadClient.start({
      port: STOPPED,
      rate: 50,
      concurrency: 1_000,
      limit: Number.MAX_SAFE_INTEGER,
    });
    await sleep(PAUSE_MS);
    await server.stop();
    await sleep(HOLD_MS / 2);
    await server.start();
    await sleep(PAUSE_MS);
    const before = await prometheus.firing();
    assert.ok(!before.has("ReuseportMigrateHoldExpired"), [...before].join(" "));
    assert.ok(!before.has("ReuseportMigrateHeldConnectionsReset"));

    await server.stop();
    await prometheus.until("the hold has expired", async () =>
      (await prometheus.firing()).has("ReuseportMigrateHoldExpired"),
    );
    await prometheus.until("held connections are reset", async () =>
      (await prometheus.firing()).has("ReuseportMigrateHeldConnectionsReset"),
    );
    await server.start();
    await sleep(PAUSE_MS);
    await load.stop();
  }
  const ended = seconds();
  t.diagnostic(`firing: ${[...(await prometheus.firing())].join(" ")}`);

  const range = Math.ceil(ended - begun);
  const { panels, annotations, templating } = readDashboard();
  const run = (expr: string) => prometheus.queryRange(expanded(expr, range), begun, ended);
  const data = new Map<string, Series[]>();
  for (const { title, targets = [] } of panels) {
    for (const { expr } of targets) {
      const series = await run(expr);
      data.set(expr, series);
      const isData = series.some(({ points }) => points.some(([, value]) => !Number.isNaN(value)));
      assert.ok(isData, `${title}: no data: ${expr}`);
    }
  }
  assert.ok(data.size > 30, `${data.size}`);
  for (const { expr } of annotations.list) assert.ok((await run(expr)).length > 0, expr);
  for (const { definition } of templating.list) {
    const [, selector, label = ""] = /^label_values\((.*), (\w+)\)$/.exec(definition ?? "") ?? [];
    if (selector === undefined) continue;
    const found = await prometheus.query(expanded(selector, range));
    assert.ok(found.length > 0 && found.every(({ metric }) => metric[label]), definition);
  }

  // What happened is what the panels show.
  const most = (title: string, labels: Record<string, string> = {}, target = 0) => {
    const expr = panels.find((panel) => panel.title === title)?.targets?.[target]?.expr ?? "";
    const series = (data.get(expr) ?? []).filter(({ metric }) =>
      Object.entries(labels).every(([name, value]) => metric[name] === value),
    );
    const values = series.flatMap(({ points }) => points.map(([, value]) => value));
    return Math.max(...values.filter((value) => !Number.isNaN(value)));
  };
  assert.ok(most("Migrated") > 0);
  assert.ok(most("Migrated, by stage", { stage: "handshake_ack" }) > 0);
  assert.ok(most("Lost", {}, 1) > 0);
  assert.equal(most("Lost"), 0);
  assert.equal(most("How holds ended", { result: "expired" }), 1);
  assert.equal(most("How holds ended", { result: "handed_over" }), 1);
  assert.ok(most("Held connections") > 0);
  const left = most("Time left");
  assert.ok(left > 0 && left <= HOLD_MS / 1000, `${left}`);
  assert.equal(most("Groups attached"), 2);

  const picture = process.env["DASHBOARD_SVG"];
  if (picture) writeFileSync(picture, drawn(panels, data, [begun, ended]));
  await sidecar.stop();
});
