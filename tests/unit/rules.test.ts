/** The files for Prometheus and Grafana name only what exists: metrics, and entries of the runbook. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { collected } from "../../cli/metrics/exporter.ts";
import { serveMetrics } from "../../cli/metrics/server.ts";
import type { StoreServer } from "../../loader/store/server.ts";
import { SAMPLE } from "../helpers/product/status_sample.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const textOf = (file: string) => readFileSync(join(root, file), "utf8");

const RULES = "deploy/prometheus/rules.yml";
const STORE = {
  path: "/s",
  names: [],
  clients: 0,
  counts: { put: 0, taken: 0, expired: 0, dropped: 0, refused: {} },
} as unknown as ReturnType<StoreServer["status"]>;

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}
const { groups } = parse(textOf(RULES)) as { groups: readonly { rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

/** Returns the name of every metric on /metrics of a sidecar with a store. */
async function exported(): Promise<Set<string>> {
  const log = { log: () => {}, droppedLines: () => 0, written: async () => {} };
  const source = { collect: collected(SAMPLE), store: () => ({ status: () => STORE }) };
  const server = await serveMetrics({ host: "127.0.0.1", port: 0 }, source, log);
  try {
    const text = await (await fetch(server.url)).text();
    const types = [...text.matchAll(/^# TYPE (\S+) (\w+)$/gm)];
    return new Set(
      types.flatMap(([, name = "", type]) =>
        type === "histogram" ? ["_bucket", "_sum", "_count"].map((it) => name + it) : [name],
      ),
    );
  } finally {
    await server.close();
  }
}

/** Returns the names in a text that look like metrics of ours. */
const named = (text: string) =>
  new Set([...text.matchAll(/\b(?:reuseport_migrate[_:]|process_)[\w:]+/g)].map(([name]) => name));

for (const file of [RULES, "deploy/grafana/reuseport-migrate.json"]) {
  test(`${file} names only metrics that exist`, async () => {
    const known = await exported();
    for (const { record } of rules) if (record) known.add(record);
    const found = named(textOf(file));
    assert.ok(found.size > 10, `${found.size}`);
    assert.deepEqual(
      [...found].filter((name) => !known.has(name)),
      [],
    );
  });
}

test("docs/METRICS.md names every metric of a sidecar, and no other", async () => {
  const rows = [
    ...textOf("docs/METRICS.md").matchAll(
      /^\| (`\w+`(?:, `\w+`)*) \| (?:counter|gauge|histogram) /gm,
    ),
  ];
  const documented = rows.flatMap(([, names = ""]) => names.replaceAll("`", "").split(", "));
  const own = [...(await exported())]
    .filter((name) => !/^process_|_store_|_seconds_(sum|count)$/.test(name))
    .map((name) => name.replace(/^reuseport_migrate_/, "").replace(/_bucket$/, ""));
  assert.deepEqual(documented.toSorted(), own.toSorted());
});

describe("the runbook", () => {
  const alerts = rules.flatMap((rule) => (rule.alert ? [{ ...rule, alert: rule.alert }] : []));
  const sections = textOf("docs/RUNBOOK.md").split(/^## /m).slice(1);

  test("has an entry for each alert, and no other", () => {
    const headings = sections.map((section) => section.split("\n")[0]);
    assert.ok(alerts.length > 10);
    assert.deepEqual(headings.toSorted(), alerts.map(({ alert }) => alert).toSorted());
  });

  test("says what an alert means, what to look at and what to do", () => {
    for (const section of sections) {
      const bold = [...section.matchAll(/^- \*\*(\w+):\*\* /gm)].map(([, word]) => word);
      assert.deepEqual(bold, ["Means", "Look", "Do"], section);
    }
  });

  test("is linked from each alert", () => {
    for (const { alert, annotations } of alerts) {
      const url = `docs/RUNBOOK.md#${alert.toLowerCase()}`;
      assert.equal(annotations?.["runbook_url"], url);
    }
  });
});
