/** What `status` prints, as text and as JSON. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { statusJson } from "../../cli/output/status_json.ts";
import { statusText } from "../../cli/output/status_text.ts";
import { SAMPLE } from "../helpers/product/status_sample.ts";

test("status as text shows groups, listeners and decisions; cookies in JSON are whole", () => {
  const text = statusText(SAMPLE);
  assert.match(text, /0\.0\.0\.0:80 {2}service :80, netns 7, uid 0/);
  assert.match(
    text,
    /attached, program 42; migrate newest, route kernel, settings prefer; no sidecar is running/,
  );
  assert.match(text, /holding 7\.2s left, 143 connections/);
  assert.match(text, /classes 1 and 2 differ in SO_KEEPALIVE, TCP_DEFER_ACCEPT/);
  assert.match(text, /10 nginx/);
  assert.match(text, /fallback \(gone\)/);
  const json = JSON.parse(JSON.stringify(statusJson(SAMPLE)));
  assert.equal(json.groups[0].listeners[0].cookie, String(2n ** 60n));
  assert.deepEqual(json.groups[0].decisions[0], {
    stage: "accept_queue",
    outcome: "selected",
    count: 30,
  });
  assert.equal(statusText({ ...SAMPLE, groups: [], adoptions: [] }), "nothing is attached");
});

test("status shows what is adopted, also when nothing is attached", () => {
  const text = statusText({ ...SAMPLE, groups: [] });
  assert.match(text, /^nothing is attached\n\nadopted cgroup \/system\.slice\/app\.service\n/);
  assert.match(text, / port {2}binds {2}failed\n +80 +3 +0\n +81 +0 +1$/);
  const lapsed = SAMPLE.adoptions.map((adoption) => ({ ...adoption, inForce: false }));
  assert.match(statusText({ ...SAMPLE, adoptions: lapsed }), /not in force: .*attach again/);
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
