/** What `status` prints, as text and as JSON. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { statusJson } from "../../cli/output/status_json.ts";
import { statusText } from "../../cli/output/status_text.ts";
import { OUTCOMES, STAGES } from "../../loader/core/abi.ts";
import type { GroupStatus } from "../../loader/index.ts";
import { SAMPLE, SAMPLE_GROUP, sampleListener } from "../helpers/product/status_sample.ts";

const WIDE = { width: 100 };

/** The longest of everything that a kernel allows. */
const LONG = {
  ...SAMPLE_GROUP,
  service: "a-service-with-a-name-that-is-as-long-as-somebody-may-write",
  key: {
    ...SAMPLE_GROUP.key,
    netns: 4026532178,
    family: "ipv6" as const,
    address: "2001:db8:1111:2222:3333:4444:5555:6666",
    port: 65535,
  },
  ownedBy: Array.from({ length: 8 }, (_, n) => ({
    ...{ unit: `${n}-${"a".repeat(60)}.service`, container: "0123456789abcdef".repeat(4) },
    ...{ runtime: "kubernetes", pod: "2f48b1ea-0c1e-4b0b-8a55-6d1c0d8b3f10" },
  })),
  netnsName: "/run/netns/a-name-of-a-namespace-that-is-rather-long",
  listeners: SAMPLE_GROUP.listeners.map((listener, i) => ({
    ...listener,
    generation: 128,
    slot: i,
    role: "superseded" as const,
    class: null,
    queueLength: 4096,
    queueLimit: 4096,
    halfOpen: 12_345,
    migratedInto: 123_456,
    owners: Array.from({ length: 10 }, (_, n) => ({
      ...{ pid: 4_000_000 + n, fd: 9, comm: "fifteen-letters", startMs: 0 },
    })),
  })),
  decisions: [
    { stage: "handshake_timer", outcome: "fallback", reason: "no_target", count: 123_456_789 },
  ] as GroupStatus["decisions"],
};

test("no line is wider than 80 columns, whatever there is to show", () => {
  for (const group of [SAMPLE_GROUP, LONG]) {
    const text = statusText({ ...SAMPLE, groups: [group] }, { width: 80, rate: () => 123_456 });
    const long = text.split("\n").filter((line) => line.length > 80);
    assert.deepEqual(long, []);
  }
});

test("classes are a column only if they differ; each decision is said in words", () => {
  const classes = (...all: (number | null)[]) => {
    const listeners = all.map((value) => ({ ...sampleListener(0, 1), class: value }));
    return statusText({ ...SAMPLE, groups: [{ ...SAMPLE_GROUP, listeners }] }, WIDE);
  };
  assert.match(classes(1, 2), / moved {2}class$/m);
  assert.doesNotMatch(classes(1, 1, null), /moved {2}class/);
  const decisions = STAGES.flatMap((stage) =>
    OUTCOMES.map((outcome) => ({ stage, ...outcome, count: 1 })),
  ) as GroupStatus["decisions"];
  const text = statusText({ ...SAMPLE, groups: [{ ...SAMPLE_GROUP, decisions }] }, WIDE);
  const rows = text.split("\n").filter((line) => /^ {2}(?:new|queued|half-open,).* 1$/.test(line));
  assert.equal(new Set(rows).size, STAGES.length * OUTCOMES.length);
  assert.match(text, /^ {2}new +spread by the kernel +1$/m);
  assert.match(text, /^ {2}half-open, timer +dropped, by policy +1$/m);
});

test("status as text shows groups, listeners and decisions; cookies in JSON are whole", () => {
  const text = statusText(SAMPLE, WIDE);
  assert.match(text, /^0\.0\.0\.0:80 {2}service :80, netns 7, uid 0$/m);
  assert.match(text, /^ {2}owned by nginx\.service$/m);
  assert.match(text, /^ {2}attached, program 42; no sidecar is running$/m);
  assert.match(text, /^ {2}migrate newest, route kernel, settings prefer$/m);
  assert.match(text, /holding 7\.2s left, 143 connections/);
  assert.match(text, /^ {2}140 held connections were handed over and 3 were reset$/m);
  assert.match(text, /classes 1 and 2 differ in SO_KEEPALIVE, TCP_DEFER_ACCEPT/);
  assert.match(text, /10 nginx/);
  assert.match(text, /^ {2}queued +left to the kernel: gone +2$/m);
  const json = JSON.parse(JSON.stringify(statusJson(SAMPLE)));
  assert.equal(json.groups[0].listeners[0].cookie, String(2n ** 60n));
  assert.deepEqual(json.groups[0].decisions[0], {
    stage: "accept_queue",
    outcome: "selected",
    count: 30,
  });
  assert.deepEqual(json.groups[0].holds.connections, { handed_over: 140, reset: 3 });
  assert.equal(statusText({ ...SAMPLE, groups: [], adoptions: [] }, WIDE), "nothing is attached");
});

test("status shows what is adopted, also when nothing is attached", () => {
  const text = statusText({ ...SAMPLE, groups: [] }, WIDE);
  assert.match(text, /^nothing is attached\n\nadopted cgroup \/system\.slice\/app\.service\n/);
  assert.match(text, / port {2}binds {2}failed\n +80 +3 +0\n +81 +0 +1$/);
  const lapsed = SAMPLE.adoptions.map((adoption) => ({ ...adoption, inForce: false }));
  assert.match(statusText({ ...SAMPLE, adoptions: lapsed }, WIDE), /not in force: .*attach again/);
  const json = JSON.parse(JSON.stringify(statusJson(SAMPLE)));
  assert.deepEqual(json.adoptions[0], {
    cgroup: "/system.slice/app.service",
    in_force: true,
    ports: [
      { port: 80, binds: 3, failed: 0 },
      { port: 81, binds: 0, failed: 1 },
    ],
  });
});
