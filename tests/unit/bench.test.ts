/** The statistics of the benchmark, and its report in the documents. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { alone, compare, inTurn, quantile, spread } from "../bench/figures.ts";
import { insert, markdown, number, type Report } from "../bench/report.ts";

describe("figures", () => {
  test("a quantile is interpolated between the samples", () => {
    assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
    assert.equal(quantile([1, 2, 3, 4, 5], 0.25), 2);
    assert.deepEqual(spread([7]), { low: 7, median: 7, high: 7 });
  });

  test("inTurn measures every subject once per round", async () => {
    const order: string[] = [];
    const subject = (name: string) => (round: number) => order.push(`${name}${round}`);
    const samples = await inTurn(2, { a: subject("a"), b: subject("b") });
    assert.deepEqual(order, ["a0", "b0", "a1", "b1"]);
    assert.deepEqual(samples, { a: [1, 3], b: [2, 4] });
  });

  test("a ratio is the median of the ratios of pairs, not the ratio of the medians", () => {
    // The machine becomes ten times slower half way, for both alike.
    const { ratio, pass } = compare([11, 110, 110], [10, 100, 100], { unit: "ns", atMost: 1.1 });
    assert.equal(ratio?.median, 1.1);
    assert.equal(pass, true);
  });

  test("a figure outside its bound fails", () => {
    assert.equal(compare([12], [10], { unit: "ns", atMost: 1.1 }).pass, false);
    assert.equal(compare([9], [10], { unit: "/s", atLeast: 0.99 }).pass, false);
    assert.equal(alone([21], { unit: "ms", atMost: 20 }).pass, false);
    assert.equal(alone([20], { unit: "ms", atMost: 20 }).pass, true);
  });

  test("a figure without samples fails, and a figure without a bound is not judged", () => {
    assert.equal(alone([], { unit: "ms", atMost: 20 }).pass, false);
    assert.equal(compare([1], [0], { unit: "ms", atMost: 20 }).pass, false);
    assert.equal(alone([20], { unit: "ms" }).pass, null);
  });
});

describe("report", () => {
  const answer = {
    number: 1,
    name: "one",
    title: "how long",
    reference: "the other",
    error: null,
    seconds: 1,
  };
  const report = {
    date: "2026-11-25T10:00:00.000Z",
    machine: { cpu: "a CPU", cpus: 2, memoryGb: 24 },
    kernel: "6.18.44",
    node: "20.20.2",
  };

  test("the table has one row per figure, with its verdict", () => {
    const figures = [
      compare([1, 1, 1], [2, 2, 2], { label: "small", unit: "ms", atMost: 0.6 }),
      alone([1234.5], { label: "large", unit: "ms", atMost: 20 }),
    ];
    const text = markdown({ ...report, answers: [{ ...answer, figures }] });
    assert.match(text, /2026-11-25, Linux 6\.18\.44, 2 CPUs \(a CPU\)/);
    assert.match(
      text,
      /^\| 1 \| how long: small \| 1 ms \| the other: 2 ms \| 0\.5 \| ratio at most 0\.6 \| pass \|$/m,
    );
    assert.match(
      text,
      /^\| {2}\| large \| 1,230 ms \| {2}\| {2}\| at most 20 ms \| \*\*FAIL\*\* \|$/m,
    );
  });

  test("the table shows a question that could not be measured", () => {
    const text = markdown({ ...report, answers: [{ ...answer, figures: [], error: "no wrk" }] });
    assert.match(text, /^\| 1 \| how long \| not measured .*FAIL/m);
  });

  test("the table replaces the text between the marks", () => {
    const marks = ["<!-- bench: written by `make bench` -->", "<!-- bench: end -->"];
    const before = `a\n${marks[0]}\nold\n${marks[1]}\nb\n`;
    const after = insert(before, "new");
    assert.equal(after, `a\n${marks[0]}\n\nnew\n\n${marks[1]}\nb\n`);
    assert.equal(insert(after, "new"), after);
    assert.throws(() => insert("no marks", "new"), /marks/);
  });

  test("only docs/PERFORMANCE.md contains the table of bench-results.json", () => {
    const read = (path: string) =>
      readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
    const results = JSON.parse(read("bench-results.json")) as Report;
    const text = read("docs/PERFORMANCE.md");
    assert.equal(insert(text, markdown(results)), text);
    assert.throws(() => insert(read("README.md"), markdown(results)), /marks/);
  });

  test("numbers have three significant digits", () => {
    assert.deepEqual([0.98765, 1234567, 12.34].map(number), ["0.988", "1,230,000", "12.3"]);
  });
});
