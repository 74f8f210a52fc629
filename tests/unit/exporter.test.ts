/** /metrics of a sidecar, from a status to the text format. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Collect, collected, Exporter } from "../../cli/metrics/exporter.ts";
import { labelText } from "../../cli/metrics/families.ts";
import type { GroupStatus, Status } from "../../loader/index.ts";
import { holdCounts } from "../helpers/fixtures.ts";
import { SAMPLE, SAMPLE_GROUP, sampleListener } from "../helpers/product/status_sample.ts";

const KERNEL = { success: 0, failure: 0, overflows: 9 };
const LABELS = 'service=":80",address="0.0.0.0",port="80",netns="own"';

/** Lines of the exposition without the prefix, comments left out. */
async function lines(exporter: Exporter, status: Status | Collect): Promise<string[]> {
  const text = await exporter.scrape(typeof status === "function" ? status : collected(status));
  return text
    .split("\n")
    .filter((l) => l && !l.startsWith("#"))
    .map((l) => l.replace("reuseport_migrate_", ""));
}

test("every number of a status is on /metrics", async () => {
  const found = await lines(new Exporter({ process: false }), SAMPLE);
  const g = LABELS;
  for (const line of [
    'groups{service=":80"} 1',
    `decisions_total{stage="accept_queue",outcome="selected",${g}} 30`,
    `decisions_total{stage="accept_queue",outcome="fallback",reason="gone",${g}} 2`,
    `dropped_connections_total{${g}} 7`,
    `fallbacks_total{${g}} 2`,
    `listener_migrations_total{slot="closed",direction="out",${g}} 30`,
    `listener_migrations_total{slot="0",direction="into",${g}} 30`,
    `listeners{role="target",generation="newest",${g}} 1`,
    `listeners{role="target",generation="older",${g}} 1`,
    `listeners{role="unknown",generation="older",${g}} 1`,
    `generation{${g}} 5`,
    `accept_queue_length{${g}} 6`,
    `accept_queue_limit{${g}} 300`,
    `half_open_requests{${g}} 3`,
    `reattachments_total{${g}} 2`,
    'adopted_binds_total{cgroup="/system.slice/app.service",port="80",result="set"} 3',
    'adopted_binds_total{cgroup="/system.slice/app.service",port="81",result="failed"} 1',
    'kernel_migrations_total{netns="own",result="success"} 32',
    'kernel_migrations_total{netns="own",result="failure"} 1',
    'kernel_listen_overflows_total{netns="own"} 9',
    'groups{service="web"} 0',
    "wakeup_defect 1",
    `hold_connections{${g}} 143`,
    `hold_connections_limit{${g}} 4096`,
    `hold_left_seconds{${g}} 7.24`,
    `hold_limit_seconds{${g}} 10`,
    `hold_seconds_bucket{le="0.25",${g}} 1`,
    `hold_seconds_bucket{le="1.0",${g}} 3`,
    `held_connections_total{result="handed_over",${g}} 140`,
    `held_connections_total{result="reset",${g}} 3`,
    `holds_started_total{${g}} 5`,
    `holds_total{result="expired",${g}} 1`,
    `program_run_seconds_total{${g}} 1.5`,
    `program_runs_total{${g}} 10`,
    "collection_errors_total 0",
  ]) {
    assert.ok(found.includes(line), `${line}\nis not in\n${found.join("\n")}`);
  }
});

test("a second scrape says the same: nothing adds up in the exporter", async () => {
  const exporter = new Exporter({ process: false });
  const first = await lines(exporter, SAMPLE);
  assert.deepEqual(await lines(exporter, SAMPLE), first);
});

test("label sets do not grow with reloads", async () => {
  const exporter = new Exporter({ process: false });
  const before = (await lines(exporter, SAMPLE)).length;
  for (let generation = 6; generation < 200; generation++) {
    const listeners = [sampleListener(generation % 3, generation)];
    const now = { ...SAMPLE, groups: [{ ...SAMPLE_GROUP, generation, listeners }] };
    assert.ok((await lines(exporter, now)).length <= before);
  }
});

test("when status cannot be read the scrape answers, and counts it", async () => {
  const exporter = new Exporter({ process: true });
  const fail = () => Promise.reject(new Error("no"));
  await exporter.scrape(fail);
  const found = await lines(exporter, fail);
  assert.ok(found.includes("collection_errors_total 2"));
  assert.ok(found.some((line) => line.startsWith("process_cpu_seconds_total")));
  assert.deepEqual(
    (await lines(exporter, { ...SAMPLE, errors: ["x"] })).includes("collection_errors_total 3"),
    true,
  );
});

test("a group that fails in the middle costs itself only, and the next scrape is whole again", async () => {
  const exporter = new Exporter({ process: false });
  const whole = await lines(exporter, SAMPLE);
  const key = { ...SAMPLE_GROUP.key, port: 81 };
  const broken = { ...SAMPLE_GROUP, name: "broken", key, listeners: null as unknown as [] };
  const found = await lines(exporter, { ...SAMPLE, groups: [broken, SAMPLE_GROUP] });
  assert.ok(found.includes("collection_errors_total 1"));
  for (const line of whole.filter((each) => each.includes(LABELS))) {
    assert.ok(found.includes(line), line);
  }
  assert.deepEqual(
    await lines(exporter, SAMPLE),
    whole.map((line) => line.replace(/^(collection_errors_total) 0$/, "$1 1")),
  );
});

test("concurrent scrapes share one result, and status is read once", async () => {
  const exporter = new Exporter({ process: false });
  let reads = 0;
  const read = async () => {
    reads++;
    return SAMPLE;
  };
  const [one, other] = await Promise.all([exporter.scrape(read), exporter.scrape(read)]);
  assert.equal(one, other);
  assert.equal(reads, 1);
  assert.equal(await exporter.scrape(read), one);
  assert.equal(reads, 2);
});

/** A thousand groups of eight listeners, each of which something was migrated to. */
function many(groups: number): Status {
  const listeners = Array.from({ length: 8 }, (_, slot) => sampleListener(slot, 5, 3));
  const all = Array.from({ length: groups }, (_, i) => ({
    ...SAMPLE_GROUP,
    name: `4026532249-ipv4-127_0_0_1-${20_000 + i}`,
    key: { ...SAMPLE_GROUP.key, address: "127.0.0.1", port: 20_000 + i },
    service: `127.0.0.1:${20_000 + i}`,
    hold: null,
    holds: holdCounts(),
    decisions: SAMPLE_GROUP.decisions.slice(0, 2),
    listeners,
  }));
  return { ...SAMPLE, groups: all };
}

test("groups that are read over several turns give the same text", async () => {
  const all = many(20);
  const atOnce = await new Exporter({ process: false }).scrape(collected(all));
  const inTurns = await new Exporter({ process: false }).scrape(async (each) => {
    for (const one of all.groups) {
      each(one);
      await new Promise(setImmediate);
    }
    return { ...all, groups: [] };
  });
  assert.equal(inTurns, atOnce);
  assert.match(inTurns, /decisions_total\{/);
});

test("what the text format reserves is escaped in labels", () => {
  assert.equal(labelText({ a: 1, b: 'x"y\\z\n' }), 'a="1",b="x\\"y\\\\z\\\\x0a"');
  assert.equal(labelText({}), "");
});

test("a label set names one group, also if two network namespaces have one name", async () => {
  const { key } = SAMPLE_GROUP;
  const keys = [
    key,
    { ...key, port: 81 },
    { ...key, address: "127.0.0.1" },
    { ...key, ifindex: 3 },
    { ...key, family: "ipv6", address: "::" },
    { ...key, family: "ipv6", address: "::", v6only: true },
  ] as const;
  const own = keys.map((each) => ({ ...SAMPLE_GROUP, key: each }));
  const named = [8, 9].map((netns) => ({
    ...SAMPLE_GROUP,
    key: { ...key, netns },
    netnsName: "app.service",
  }));
  const status = { ...SAMPLE, groups: [...own, ...named], kernel: new Map([[9, KERNEL]]) };
  const found = await lines(new Exporter({ process: false }), status);
  const generations = found.filter((line) => line.startsWith("generation{"));
  assert.equal(new Set(generations).size, own.length + named.length, generations.join("\n"));
  assert.ok(generations.some((line) => line.includes('netns="app.service"')));
  assert.ok(generations.some((line) => line.includes('netns="app.service (9)"')));
  assert.ok(found.includes('kernel_listen_overflows_total{netns="app.service (9)"} 9'));
});

test("without a hold under way its time left is no series", async () => {
  const hold = SAMPLE_GROUP.hold && { ...SAMPLE_GROUP.hold, holding: false, leftMs: null };
  const groups = [{ ...SAMPLE_GROUP, hold }];
  const found = await lines(new Exporter({ process: false }), { ...SAMPLE, groups });
  assert.deepEqual(
    found.filter((line) => line.startsWith("hold_left")),
    [],
  );
  assert.ok(found.some((line) => line.startsWith("hold_limit_seconds")));
});

test("a thousand groups of eight listeners fit into 2.1 MB, and 3.3 MB when all were migrated to", async () => {
  const used = many(1_000);
  const fresh = used.groups.map((each) => ({
    ...each,
    listeners: each.listeners.map((one) => ({ ...one, migratedInto: 0 })),
  }));
  const size = async (groups: readonly GroupStatus[]) =>
    (await new Exporter({ process: true }).scrape(collected({ ...SAMPLE, groups }))).length;
  const sizes = [await size(fresh), await size(used.groups)] as const;
  assert.ok(sizes[0] <= 2.1e6 && sizes[1] <= 3.3e6, `${sizes}`);
});

test("each family has its help, its type, and each of its series once", async () => {
  const text = await new Exporter({ process: false }).scrape(collected(many(1_000)));
  const families = text.split("\n\n").map((family) => family.trimEnd().split("\n"));
  for (const [help = "", type = "", ...values] of families) {
    const [, , name = ""] = help.split(" ");
    assert.match(help, /^# HELP reuseport_migrate_/);
    assert.match(type, new RegExp(`^# TYPE ${name} (counter|gauge|histogram)$`));
    for (const value of values) assert.ok(value.startsWith(name), value);
    assert.equal(new Set(values).size, values.length, name);
  }
});

test("each problem is a warning once, and again after a scrape without it", async () => {
  const warnings: string[] = [];
  const exporter = new Exporter({ process: false, warn: (text) => warnings.push(text) });
  const read = async (...errors: string[]) => {
    await exporter.scrape(collected({ ...SAMPLE, errors }));
    return warnings.splice(0);
  };
  assert.deepEqual(await read("a", "b"), ["a", "b"]);
  assert.deepEqual(await read("b", "c"), ["c"]);
  assert.deepEqual(await read(), []);
  assert.deepEqual(await read("a"), ["a"]);
  const broken = { ...SAMPLE_GROUP, name: "broken", listeners: null as unknown as [] };
  await exporter.scrape(collected({ ...SAMPLE, groups: [broken, SAMPLE_GROUP] }));
  await exporter.scrape(() => Promise.reject(new Error("no iterator")));
  const [first = "", ...rest] = warnings;
  assert.match(first, /^\/metrics lacks group broken: /);
  assert.deepEqual(rest, ["/metrics is incomplete: no iterator"]);
  const text = await exporter.scrape(collected(SAMPLE));
  assert.match(text, /collection_errors_total 7\n/);
});
