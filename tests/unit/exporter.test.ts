import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { Exporter } from "../../cli/metrics/exporter.ts";
import { labelText } from "../../cli/metrics/families.ts";
import { openFiles } from "../../cli/metrics/process_metrics.ts";
import { statusJson, statusText, table } from "../../cli/output/status_text.ts";
import type { GroupStatus, ListenerStatus, Status } from "../../loader/index.ts";

const listener = (slot: number | null, generation: number | null, into = 0n): ListenerStatus => ({
  cookie: 2n ** 60n,
  protocol: "tcp",
  slot,
  generation,
  role: slot === null ? "unknown" : "target",
  class: 1,
  owners: [{ pid: 10, fd: 3, comm: "nginx", startMs: 0 }],
  queueLength: 2,
  queueLimit: 100,
  halfOpen: 1,
  migratedOut: 0n,
  migratedInto: into,
});

const group: GroupStatus = {
  name: "7-ipv4-0_0_0_0-80",
  service: ":80",
  key: { netns: 7, family: "ipv4", address: "0.0.0.0", port: 80, ifindex: 0, v6only: false },
  uid: 0,
  attached: true,
  programId: 42,
  migrate: "newest",
  route: "kernel",
  settings: "prefer",
  optionDifferences: [{ classes: [1, 2], names: ["SO_KEEPALIVE", "TCP_DEFER_ACCEPT"] }],
  attachments: 3,
  sidecar: null,
  generation: 5,
  listeners: [listener(0, 5, 30n), listener(1, 4), listener(null, null)],
  decisions: [
    { stage: "accept_queue", outcome: "selected", count: 30n },
    { stage: "accept_queue", outcome: "fallback", reason: "gone", count: 2n },
  ],
  wakeups: 4,
  hold: {
    timeMs: 10_000,
    max: 4096,
    standby: true,
    holding: true,
    leftMs: 7_240,
    connections: 143,
    received: { syn: 200n, migrated: 12n },
    holds: {
      started: 5,
      handed_over: 2,
      expired: 1,
      released: 1,
      sumMs: 12_500,
      buckets: [0, 1, 0, 2, 0, 0, 0, 0, 0, 0],
    },
  },
  closed: { out: 30n, into: 0n },
  run: { timeNs: 1_500_000_000n, count: 10n },
};
const status: Status = {
  groups: [group],
  adoptions: [
    {
      cgroup: "/system.slice/app.service",
      inForce: true,
      ports: [
        { port: 80, binds: 3n, failed: 0n },
        { port: 81, binds: 0n, failed: 1n },
      ],
    },
  ],
  unmanaged: [],
  kernel: new Map([[7, { success: 32n, failure: 1n }]]),
  errors: [],
};

/** Lines of the exposition without the prefix, comments left out. */
async function lines(exporter: Exporter, read: () => Status): Promise<string[]> {
  const text = await exporter.scrape(read);
  return text
    .split("\n")
    .filter((l) => l && !l.startsWith("#"))
    .map((l) => l.replace("reuseport_migrate_", ""));
}

test("every number of a status is on /metrics", async () => {
  const found = await lines(new Exporter({ process: false }), () => status);
  const g = 'service=":80",group="7-ipv4-0_0_0_0-80"';
  for (const line of [
    'groups{service=":80"} 1',
    `decisions_total{stage="accept_queue",outcome="selected",${g}} 30`,
    `decisions_total{stage="accept_queue",outcome="fallback",reason="gone",${g}} 2`,
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
    'kernel_migrations_total{netns="7",result="success"} 32',
    'kernel_migrations_total{netns="7",result="failure"} 1',
    `program_run_seconds_total{${g}} 1.5`,
    `program_runs_total{${g}} 10`,
    "collection_errors_total 0",
  ]) {
    assert.ok(found.includes(line), `${line}\nis not in\n${found.join("\n")}`);
  }
});

test("a second scrape says the same: nothing adds up in the exporter", async () => {
  const exporter = new Exporter({ process: false });
  const first = await lines(exporter, () => status);
  assert.deepEqual(await lines(exporter, () => status), first);
});

test("label sets do not grow with reloads", async () => {
  const exporter = new Exporter({ process: false });
  const before = (await lines(exporter, () => status)).length;
  for (let generation = 6; generation < 200; generation++) {
    const listeners = [listener(generation % 3, generation)];
    const now = { ...status, groups: [{ ...group, generation, listeners }] };
    assert.ok((await lines(exporter, () => now)).length <= before);
  }
});

test("when status cannot be read the scrape answers, and counts it", async () => {
  const exporter = new Exporter({ process: true });
  const fail = () => {
    throw new Error("no");
  };
  await exporter.scrape(fail);
  const found = await lines(exporter, fail);
  assert.ok(found.includes("collection_errors_total 2"));
  assert.ok(found.some((line) => line.startsWith("process_cpu_seconds_total")));
  assert.deepEqual(
    (await lines(exporter, () => ({ ...status, errors: ["x"] }))).includes(
      "collection_errors_total 3",
    ),
    true,
  );
});

test("a group that fails in the middle costs itself only, and the next scrape is whole again", async () => {
  const exporter = new Exporter({ process: false });
  const whole = await lines(exporter, () => status);
  const broken = { ...group, name: "broken", listeners: null as unknown as [] };
  const found = await lines(exporter, () => ({ ...status, groups: [broken, group] }));
  assert.ok(found.includes("collection_errors_total 1"));
  for (const line of whole.filter((each) => each.includes(group.name))) {
    assert.ok(found.includes(line), line);
  }
  assert.deepEqual(
    await lines(exporter, () => status),
    whole.map((line) => line.replace(/^(collection_errors_total) 0$/, "$1 1")),
  );
});

test("who scrapes while a scrape is under way gets the same, and status is read once", async () => {
  const exporter = new Exporter({ process: false });
  let reads = 0;
  const read = async () => {
    reads++;
    return status;
  };
  const [one, other] = await Promise.all([exporter.scrape(read), exporter.scrape(read)]);
  assert.equal(one, other);
  assert.equal(reads, 1);
  assert.equal(await exporter.scrape(read), one);
  assert.equal(reads, 2);
});

/** A thousand groups of eight listeners, each of which something was migrated to. */
function many(groups: number): Status {
  const listeners = Array.from({ length: 8 }, (_, slot) => listener(slot, 5, 3n));
  const all = Array.from({ length: groups }, (_, i) => ({
    ...group,
    name: `4026532249-ipv4-127_0_0_1-${20_000 + i}`,
    service: `127.0.0.1:${20_000 + i}`,
    hold: null,
    listeners,
  }));
  return { ...status, groups: all };
}

test("groups that are told one by one are said as those that are given in the end", async () => {
  const all = many(20);
  const given = await new Exporter({ process: false }).scrape(() => all);
  const told = await new Exporter({ process: false }).scrape(async (each) => {
    for (const one of all.groups) {
      each(one);
      await new Promise(setImmediate);
    }
    return { ...all, groups: [] };
  });
  assert.equal(told, given);
  assert.match(told, /decisions_total\{/);
});

test("what the text format reserves is escaped in labels", () => {
  assert.equal(labelText({ a: 1, b: 'x"y\\z\n' }), 'a="1",b="x\\"y\\\\z\\n"');
  assert.equal(labelText({}), "");
});

test("a thousand groups of eight listeners fit into 2 MB, and 3 MB when all were migrated to", async () => {
  const used = many(1_000);
  const fresh = used.groups.map((each) => ({
    ...each,
    listeners: each.listeners.map((one) => ({ ...one, migratedInto: 0n })),
  }));
  const size = async (groups: readonly GroupStatus[]) =>
    (await new Exporter({ process: true }).scrape(() => ({ ...status, groups }))).length;
  assert.ok((await size(fresh)) <= 2e6);
  assert.ok((await size(used.groups)) <= 3e6);
});

test("each family has its help, its type, and each of its series once", async () => {
  const text = await new Exporter({ process: false }).scrape(() => many(1_000));
  const families = text.split("\n\n").map((family) => family.trimEnd().split("\n"));
  for (const [help = "", type = "", ...values] of families) {
    const [, , name = ""] = help.split(" ");
    assert.match(help, /^# HELP reuseport_migrate_/);
    assert.match(type, new RegExp(`^# TYPE ${name} (counter|gauge|histogram)$`));
    for (const value of values) assert.ok(value.startsWith(name), value);
    assert.equal(new Set(values).size, values.length, name);
  }
});

test("status as text shows groups, listeners and decisions; cookies in JSON are whole", () => {
  const text = statusText(status);
  assert.match(text, /0\.0\.0\.0:80 {2}service :80, netns 7, uid 0/);
  assert.match(
    text,
    /attached, program 42; migrate newest, route kernel, settings prefer; no sidecar is running/,
  );
  assert.match(text, /holding 7\.2s left, 143 connections/);
  assert.match(text, /classes 1 and 2 differ in SO_KEEPALIVE, TCP_DEFER_ACCEPT/);
  assert.match(text, /10 nginx/);
  assert.match(text, /fallback \(gone\)/);
  const json = JSON.parse(JSON.stringify(statusJson(status)));
  assert.equal(json.groups[0].listeners[0].cookie, String(2n ** 60n));
  assert.deepEqual(json.groups[0].decisions[0], {
    stage: "accept_queue",
    outcome: "selected",
    count: 30,
  });
  assert.equal(statusText({ ...status, groups: [], adoptions: [] }), "nothing is attached");
});

test("status shows what is adopted, also when nothing is attached", () => {
  const text = statusText({ ...status, groups: [] });
  assert.match(text, /^nothing is attached\n\nadopted cgroup \/system\.slice\/app\.service\n/);
  assert.match(text, / port {2}binds {2}failed\n +80 +3 +0\n +81 +0 +1$/);
  const lapsed = status.adoptions.map((adoption) => ({ ...adoption, inForce: false }));
  assert.match(statusText({ ...status, adoptions: lapsed }), /not in force: .*attach again/);
  const json = JSON.parse(JSON.stringify(statusJson(status)));
  assert.deepEqual(json.adoptions[0], {
    cgroup: "/system.slice/app.service",
    in_force: true,
    ports: [
      { port: 80, binds: 3, failed: 0 },
      { port: 81, binds: 0, failed: 1 },
    ],
  });
});

test("columns are as wide as their widest cell, numbers to the right", () => {
  assert.deepEqual(
    table(
      ["name", "n"],
      [
        ["a", "1"],
        ["long name", "100"],
      ],
    ),
    ["name         n", "a            1", "long name  100"],
  );
});

test("open file descriptors are counted as they are", () => {
  const before = openFiles();
  assert.equal(before, readdirSync("/proc/self/fd").length - 1);
  const fd = openSync("/dev/null", "r");
  try {
    assert.equal(openFiles(), before + 1);
  } finally {
    closeSync(fd);
  }
});
