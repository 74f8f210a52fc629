/** The notation of a scrape: by the header Accept, and as OpenMetrics defines it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { collected, Exporter } from "../../cli/metrics/exporter.ts";
import { notationFor, openMetrics } from "../../cli/metrics/notation.ts";
import { SAMPLE } from "../helpers/product/status_sample.ts";

const isOpen = (accept?: string) =>
  notationFor(accept).contentType.startsWith("application/openmetrics-text");

/** What Prometheus 2.42 and 3.5 send. */
const PROMETHEUS =
  "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const PROMETHEUS_3 =
  "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

test("OpenMetrics is for scrapers that list it, and prefer it to text", () => {
  for (const accept of [PROMETHEUS, PROMETHEUS_3, "Application/OpenMetrics-Text"]) {
    assert.ok(isOpen(accept), accept);
  }
  const others = [
    undefined,
    "",
    "*/*",
    "text/plain",
    "application/openmetrics-text;q=0",
    "application/openmetrics-text;q=x",
    "application/openmetrics-text;q=0.2, text/plain",
    "application/openmetrics-textual",
  ];
  for (const accept of others) assert.ok(!isOpen(accept), accept);
});

test("OpenMetrics: families without _total, no empty line, and an end", async () => {
  const text = await new Exporter({ process: true }).scrape(collected(SAMPLE));
  const lines = openMetrics(text).split("\n");
  assert.deepEqual(lines.slice(-2), ["# EOF", ""]);
  assert.equal(lines.indexOf(""), lines.length - 1);
  const families = lines.flatMap((line) => /^# TYPE (\S+) (\S+)$/.exec(line)?.slice(1, 3) ?? []);
  assert.ok(families.includes("reuseport_migrate_decisions"));
  assert.ok(!families.some((name) => name.endsWith("_total")));
  assert.ok(lines.some((line) => line.startsWith("reuseport_migrate_decisions_total{")));
  const samples = (all: readonly string[]) => all.filter((line) => line && !line.startsWith("#"));
  assert.deepEqual(samples(lines), samples(text.split("\n")));
});

test("no gauge has the name of a counter's family", async () => {
  const text = openMetrics(await new Exporter({ process: true }).scrape(collected(SAMPLE)));
  const names = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
  assert.ok(names.length > 30);
  assert.deepEqual(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
});
