/** Probes, verdicts and the table of defects, without a host. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkText } from "../../cli/output/check_text.ts";
import {
  defectText,
  kernelVersion,
  mayApply,
  SILENT_DEFECTS,
  WAKEUP_DEFECT,
} from "../../loader/check/defects.ts";
import { adoptAdvice } from "../../loader/check/owners.ts";
import {
  checkVerdict,
  no,
  ok,
  type Probe,
  runProbes,
  skipped,
  unknown,
} from "../../loader/check/probe.ts";
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

const capability = (name: string) => ({
  name,
  use: "",
  required: true,
  ...no("this process (not root) lacks it", "run as root, or grant what is missing"),
});
const DEFECTS = [
  { name: "one", text: "is there", applies: true },
  { name: "other", text: "is not", applies: false },
];
const REPORT = {
  verdict: "not fit" as const,
  host: [
    { name: "BTF", use: "", required: true, ...ok("/sys") },
    capability("CAP_BPF"),
    capability("CAP_CHOWN"),
    { name: "libbpf", use: "", required: true, ...no("not there", "install it") },
    { name: "cgroup v2", use: "", required: false, ...no("not mounted") },
    { name: "self", use: "", required: true, ...unknown("EIO") },
    { name: "pins", use: "", required: true, ...skipped("libbpf") },
    { name: "wakes", use: "", required: true, ...skipped("libbpf") },
  ],
  groups: [
    {
      spec: ":80",
      name: "0.0.0.0:80",
      netns: 7,
      results: [{ name: "attach", use: "", required: true, ...ok("would work") }],
    },
  ],
  defects: DEFECTS,
};

test("verdicts, then problems with what to do: capabilities and skipped probes in a line each", () => {
  assert.deepEqual(checkText(REPORT, { verbose: false, width: 80 }).split("\n"), [
    "host: not fit (1 of 8 probes ok)",
    "  no    capabilities are missing: CAP_BPF, CAP_CHOWN",
    "        -> run as root, or grant what is missing",
    "  no    libbpf: not there",
    "        -> install it",
    "  warn  cgroup v2: not mounted",
    "  ?     self: EIO",
    "  skip  not run without those: pins, wakes",
    "",
    "0.0.0.0:80, netns 7: ready",
    "",
    "known kernel defects",
    "  one: is there",
  ]);
});

test("--verbose lists every probe and defect; no line is wider than asked for", () => {
  const text = checkText(REPORT, { verbose: true, width: 80 });
  assert.match(text, /^ {2}ok {4}BTF {8}\/sys$/m);
  assert.match(text, /^ {2}no {4}CAP_BPF {4}this process/m);
  assert.match(text, /^ {2}skip {2}pins {7}skipped: /m);
  assert.match(text, /^ {2}ok {4}attach {2}would work$/m);
  assert.match(text, /^ {2}other: is not$/m);
  const narrow = checkText(REPORT, { verbose: true, width: 50 }).split("\n");
  assert.ok(narrow.every((line) => line.length <= 50));
});

test("a defect applies to a kernel that is older than its fix, or of another series", () => {
  const applies = (kernel: string) => mayApply(WAKEUP_DEFECT, kernel);
  assert.deepEqual(["6.1.174", "6.1.175", "6.17.1", "7.2"].map(applies), [
    true,
    false,
    true,
    false,
  ]);
});

test("adoption is advised for the server's cgroup, never for that of the whole host", () => {
  assert.match(adoptAdvice(80, "/app"), /attach :80 --adopt --cgroup \/app'/);
  assert.match(adoptAdvice(80, null), /--adopt --cgroup PATH'/);
  assert.doesNotMatch(adoptAdvice(80, "/"), /--cgroup/);
  assert.match(adoptAdvice(80, "/"), /exec :80 -- COMMAND.*--adopt --unit NAME/);
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
