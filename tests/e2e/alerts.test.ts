/** promtool tries the alert rules: each fires where it has to, and not where it has not. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { collected, Exporter } from "../../cli/metrics/exporter.ts";
import { TempDir } from "../helpers/host/child.ts";
import { promtoolCheck } from "../helpers/product/prometheus.ts";
import { SAMPLE } from "../helpers/product/status_sample.ts";
import { ALERT_CASES, type AlertCase } from "./alert_cases.ts";

const RULES = fileURLToPath(new URL("../../../deploy/prometheus/rules.yml", import.meta.url));
const JOB = "reuseport-migrate";

interface Rule {
  readonly alert?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const { groups } = parse(readFileSync(RULES, "utf8")) as {
  groups: readonly { readonly rules: readonly Rule[] }[];
};
const alerts = new Map(
  groups.flatMap(({ rules }) => rules).flatMap((rule) => (rule.alert ? [[rule.alert, rule]] : [])),
);

/** Runs `promtool test rules`; JSON is YAML, too. */
function promtool(tests: readonly object[]): { status: number | null; output: string } {
  using dir = new TempDir();
  const file = dir.file("test.json");
  writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: "1m", tests }));
  const { status, stdout, stderr } = spawnSync("promtool", ["test", "rules", file], {
    encoding: "utf8",
  });
  return { status, output: stdout + stderr };
}

function series(all: readonly string[], instance: string): object[] {
  return all.map((each) => {
    const [, name, labels, values] = /^(\w+)(?:\{(.*)\})? (.*)$/.exec(each) ?? [];
    const own = [labels, `job="${JOB}"`, `instance="${instance}"`].filter(Boolean).join(",");
    return { series: `reuseport_migrate_${name}{${own}}`, values };
  });
}

/** Both in one Prometheus: the alert is that of one instance. */
function testOf(each: AlertCase, fires = each.fires): object {
  const { alert, silent, at = "5m", before, labels, summary } = each;
  const rule = alerts.get(alert);
  const expected = {
    exp_labels: { ...labels, ...rule?.labels, job: JOB, instance: "fires" },
    exp_annotations: { ...rule?.annotations, summary },
  };
  return {
    name: alert,
    interval: "1m",
    input_series: [...series(fires, "fires"), ...series(silent, "silent")],
    alert_rule_test: [
      ...(before ? [{ eval_time: before, alertname: alert, exp_alerts: [] }] : []),
      { eval_time: at, alertname: alert, exp_alerts: [expected] },
    ],
  };
}

test("promtool check rules accepts them", () => {
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "rules", RULES], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stdout + stderr);
});

test("promtool check metrics accepts every family", async () => {
  const text = await new Exporter({ process: true }).scrape(collected(SAMPLE));
  assert.deepEqual(promtoolCheck(text), { status: 0, output: "" });
  const wrong = text.replaceAll("reuseport_migrate_decisions_total", "decisionsMade");
  assert.notEqual(promtoolCheck(wrong).output, "");
});

describe("an alert", () => {
  for (const each of ALERT_CASES) {
    test(`${each.alert} fires: ${each.fires[0]}`, () => {
      const { status, output } = promtool([testOf(each)]);
      assert.equal(status, 0, output);
      // Without the cause, nothing fires.
      assert.notEqual(promtool([testOf(each, each.silent)]).status, 0);
    });
  }

  test("ReuseportMigrateSidecarDown fires for one that does not answer, and for none", () => {
    const alertname = "ReuseportMigrateSidecarDown";
    const rule = alerts.get(alertname);
    const severity = rule?.labels["severity"];
    const runbook_url = rule?.annotations["runbook_url"];
    const up = (values: string) => [{ series: `up{job="${JOB}",instance="h"}`, values }];
    const none = {
      exp_labels: { severity },
      exp_annotations: { summary: ": the sidecar does not answer.", runbook_url },
    };
    const down = {
      exp_labels: { severity, job: JOB, instance: "h" },
      exp_annotations: { summary: "h: the sidecar does not answer.", runbook_url },
    };
    const cases = [
      { input_series: up("1 1 0x10"), before: "3m", exp_alerts: [down] },
      { input_series: [{ series: "up", values: "1x10" }], before: "1m", exp_alerts: [none] },
      { input_series: up("1x5 0 1x10"), before: "1m", exp_alerts: [] },
    ].map(({ input_series, before, exp_alerts }) => ({
      interval: "1m",
      input_series,
      alert_rule_test: [
        { eval_time: before, alertname, exp_alerts: [] },
        { eval_time: "6m", alertname, exp_alerts },
      ],
    }));
    const { status, output } = promtool(cases);
    assert.equal(status, 0, output);
  });

  test("has a case, each of them", () => {
    const tried = new Set([
      ...ALERT_CASES.map(({ alert }) => alert),
      "ReuseportMigrateSidecarDown",
    ]);
    assert.deepEqual([...tried].toSorted(), [...alerts.keys()].toSorted());
  });
});

test("recorded: what migrated and what was lost, of a group", () => {
  const labels = 'service="web",address="::",port="80",netns="own",v6only="true"';
  const decision = (stage: string, outcome: string, values: string) =>
    `decisions_total{stage="${stage}",outcome="${outcome}",${labels}} ${values}`;
  const input = [
    decision("accept_queue", "selected", "0+60x10"),
    decision("handshake_ack", "selected", "0+30x10"),
    decision("syn", "selected", "0+600x10"),
    `dropped_connections_total{${labels}} 0+3x10`,
    `held_connections_total{result="reset",${labels}} 0+2x10`,
    `accept_queue_length{${labels}} 30x10`,
    `accept_queue_limit{${labels}} 120x10`,
  ];
  const found = (name: string, value: number) => ({
    expr: `reuseport_migrate:${name}`,
    eval_time: "8m",
    exp_samples: [
      { labels: `reuseport_migrate:${name}{${labels},job="${JOB}",instance="h"}`, value },
    ],
  });
  const { status, output } = promtool([
    {
      interval: "1m",
      input_series: series(input, "h"),
      promql_expr_test: [
        found("migrated:rate5m", 1.5),
        found("lost:increase5m", 25),
        found("accept_queue:ratio", 0.25),
      ],
    },
  ]);
  assert.equal(status, 0, output);
});
