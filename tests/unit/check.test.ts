/** Probes, verdicts and the table of defects, without a host. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkText } from "../../cli/output/check_text.ts";
import {
  defectText,
  kernelVersion,
  SILENT_DEFECTS,
  WAKEUP_DEFECT,
} from "../../loader/check/defects.ts";
import { checkVerdict, no, ok, type Probe, runProbes, unknown } from "../../loader/check/probe.ts";
import { NotSupportedError } from "../../loader/errors.ts";

const probe = (name: string, run: Probe["run"], more: Partial<Probe> = {}): Probe => ({
  name,
  use: "",
  required: true,
  run,
  ...more,
});

test("a probe never throws: a missing feature is a no, any other error unknown", async () => {
  const results = await runProbes([
    probe("missing", () => {
      throw new NotSupportedError("x", "no x here");
    }),
    probe("broken", () => Promise.reject(new Error("EIO"))),
    probe("fine", () => ok("yes")),
  ]);
  assert.deepEqual(
    results.map(({ name, outcome, detail }) => [name, outcome, detail]),
    [
      ["missing", "no", "no x here"],
      ["broken", "unknown", "EIO"],
      ["fine", "ok", "yes"],
    ],
  );
});

test("a probe whose needs are not ok is skipped, and says why", async () => {
  const [, second, third] = await runProbes([
    probe("first", () => no("gone")),
    probe("second", () => assert.fail("run"), { needs: ["first"] }),
    probe("third", () => assert.fail("run"), { needs: ["second"] }),
  ]);
  assert.deepEqual(
    [second, third].map((it) => [it?.outcome, it?.detail]),
    [
      ["unknown", "skipped: it depends on 'first', which failed"],
      ["unknown", "skipped: it depends on 'second', which failed"],
    ],
  );
});

test("after an interrupt the remaining probes are unknown", async () => {
  const stop = new AbortController();
  const results = await runProbes(
    [
      probe("first", () => {
        stop.abort();
        return ok("");
      }),
      probe("second", () => assert.fail("run")),
    ],
    stop.signal,
  );
  assert.equal(results[1]?.outcome, "unknown");
});

test("the verdict: a required no, any other doubt, or none", () => {
  const result = (required: boolean, found: ReturnType<typeof ok>) => ({
    name: "",
    use: "",
    required,
    ...found,
  });
  assert.equal(checkVerdict([result(true, ok(""))]), "fit");
  assert.equal(checkVerdict([result(true, ok("")), result(true, no(""))]), "not fit");
  assert.equal(checkVerdict([result(true, unknown(""))]), "fit with warnings");
  assert.equal(checkVerdict([result(false, no(""))]), "fit with warnings");
});

test("one aligned line a probe, with what to do", () => {
  const text = checkText({
    verdict: "not fit",
    host: [
      { name: "BTF", use: "", required: true, ...ok("/sys") },
      { name: "libbpf", use: "", required: true, ...no("not there", "install it") },
      { name: "x", use: "", required: true, ...unknown("skipped") },
    ],
    groups: [],
    defects: [],
  });
  assert.match(text, /^ok {4}BTF {5}\/sys\nno {4}libbpf {2}not there: install it\n\? {5}x /);
  assert.match(text, /\n\nnot fit$/);
});

test("a kernel's version is what Debian says it is, or its release", () => {
  const debian = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.174-1 (2026-05-01)";
  assert.equal(kernelVersion("6.1.0-49-cloud-amd64", debian), "6.1.174");
  assert.equal(kernelVersion("6.18.44-fc-v782", "#1 SMP"), "6.18.44");
  assert.equal(kernelVersion("7.1-rc3", "#1 SMP"), "7.1");
});

test("a defect's note names the fixes and what this kernel says it is", () => {
  const [reqsk] = SILENT_DEFECTS;
  assert.ok(reqsk);
  assert.match(
    defectText(WAKEUP_DEFECT, "6.1.174"),
    /6\.1\.175.*says 6\.1\.174: older than the fix$/,
  );
  assert.match(defectText(WAKEUP_DEFECT, "6.1.175"), /has the fix$/);
  assert.match(defectText(WAKEUP_DEFECT, "6.17.1"), /of a series without a listed fix$/);
  assert.match(defectText(WAKEUP_DEFECT, "7.2"), /newer than all of these$/);
  assert.match(defectText(reqsk, "6.1.192"), /not in 6\.1\.192; .*without a listed fix$/);
});
