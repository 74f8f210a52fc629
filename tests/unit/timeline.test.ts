/** The timeline of a run: what is kept of readings, in bins, as SVG, as a page and as text. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { chartOf, chartText, sparkline } from "../../cli/timeline/chart.ts";
import { binsOf, Timeline, type Track } from "../../cli/timeline/timeline.ts";
import { timelinePage } from "../../cli/timeline/timeline_page.ts";
import type { GroupStatus } from "../../loader/operate/status.ts";
import { listenerStatus } from "../helpers/fixtures.ts";
import { SAMPLE_GROUP } from "../helpers/product/status_sample.ts";

const NO_HOLDS = { ...SAMPLE_GROUP.holds, connections: { handed_over: 0, reset: 0 } };

const groupStatus = (some: Partial<GroupStatus> = {}): GroupStatus => ({
  ...SAMPLE_GROUP,
  listeners: [],
  decisions: [],
  hold: null,
  holds: NO_HOLDS,
  ...some,
});

const decided = (opened: number, migrated: number, dropped = 0): GroupStatus["decisions"] => [
  { stage: "syn", outcome: "kernel", count: opened },
  { stage: "accept_queue", outcome: "selected", count: migrated },
  { stage: "handshake_ack", outcome: "dropped", count: dropped },
];

function tracked(...readings: [ms: number, group: GroupStatus][]): Track {
  const timeline = new Timeline(0);
  for (const [ms, group] of readings) timeline.add([group], ms);
  const [track] = timeline.tracks;
  assert.ok(track);
  return track;
}

describe("bins", () => {
  const total = (values: readonly number[]) => Math.round(values.reduce((sum, n) => sum + n, 0));

  test("spread what was counted between two readings, and lose nothing of it", () => {
    const track = tracked(
      [0, groupStatus({ decisions: decided(100, 7) })],
      [10, groupStatus({ decisions: decided(110, 7) })],
      [50, groupStatus({ decisions: decided(150, 10, 2) })],
    );
    const { binMs, series, readingMs } = binsOf(track, 60, 100);
    assert.deepEqual([binMs, readingMs], [10, 40]);
    assert.deepEqual(series.opened, [0, 10, 10, 10, 10, 10]);
    assert.deepEqual([total(series.migrated), total(series.lost)], [3, 2]);
  });

  test("keep a level until the next reading", () => {
    const waiting = (queueLength: number) =>
      groupStatus({ listeners: [listenerStatus({ queueLength })] });
    const track = tracked([0, waiting(4)], [40, waiting(0)]);
    assert.deepEqual(binsOf(track, 50, 100).series.queued, [4, 4, 4, 4, 0]);
  });

  test("are no more than asked for, whatever the time", () => {
    const track = tracked(
      [0, groupStatus()],
      [3_600_000, groupStatus({ decisions: decided(9, 0) })],
    );
    const { binMs, series } = binsOf(track, 3_600_000, 400);
    assert.equal(binMs, 9_000);
    assert.equal(series.opened.length, 400);
    assert.equal(total(series.opened), 9);
  });

  test("bands last as long as a generation has listeners", () => {
    const of = (...generations: number[]) =>
      groupStatus({ listeners: generations.map((generation) => listenerStatus({ generation })) });
    const track = tracked([0, of(1)], [20, of(1, 2, 2)], [40, of(2)], [50, of(1, 2)]);
    assert.deepEqual(binsOf(track, 60, 100).generations, [
      {
        generation: 1,
        spans: [
          [0, 40],
          [50, 60],
        ],
        most: 1,
      },
      { generation: 2, spans: [[20, 60]], most: 2 },
    ]);
  });
});

test("a timeline is bounded, and keeps its beginning and its counts", () => {
  const timeline = new Timeline(0);
  for (let ms = 0; ms < 20_000; ms++)
    timeline.add([groupStatus({ decisions: decided(ms, 0) })], ms);
  const [track] = timeline.tracks;
  assert.ok(track && track.points.length <= 4_096 && track.points[0]?.ms === 0);
  const { series } = binsOf(track, 20_000, 400);
  assert.ok(series.opened.reduce((sum, n) => sum + n, 0) > 19_980);
});

test("a group that was pinned anew is another one", () => {
  const timeline = new Timeline(0);
  timeline.add([groupStatus({ firstProgramId: 1, decisions: decided(50, 0) })], 0);
  timeline.add([groupStatus({ firstProgramId: 2, decisions: decided(3, 0) })], 10);
  assert.equal(timeline.tracks.length, 2);
});

describe("what is shown", () => {
  const track = tracked(
    [0, groupStatus({ service: "<b>&", decisions: decided(0, 0) })],
    [500, groupStatus({ service: "<b>&", decisions: decided(40, 8, 1) })],
  );
  const bins = binsOf(track, 1_000, 100);

  test("a lane for each series that is not 0, and a mark where the command ended", () => {
    const svg = chartOf(bins, { endMs: 1_000, commandMs: 400 });
    for (const name of ["opened", "migrated", "lost"])
      assert.match(svg, new RegExp(`class="${name}"`));
    for (const name of ["held", "queued"]) assert.doesNotMatch(svg, new RegExp(`class="${name}"`));
    assert.match(svg, /the command ended/);
    assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
    assert.doesNotMatch(chartOf(bins, { endMs: 1_000, commandMs: null }), /the command ended/);
  });

  test("one file without a script, whose texts are no markup", () => {
    const page = timelinePage({
      title: "run -- sh -c '</title><script>alert(1)</script>'",
      verdict: "ok: <img src=x>\nline 2\u001b[2J",
      isBad: false,
      host: "web-1",
      beganMs: 0,
      endMs: 1_000,
      commandMs: null,
      tracks: [track],
    });
    assert.doesNotMatch(page, /<script|<img|<b>|\p{Cc}(?<!\n)|<[^>]*(?:src|href)=/u);
    assert.match(page, /\nline 2\\x1b\[2J/);
    assert.match(page, /default-src 'none'/);
  });

  test("text for a terminal, as wide as asked", () => {
    const lines = chartText(track, 1_000, 80);
    assert.ok(
      lines.every((line) => [...line].length <= 80),
      lines.join("\n"),
    );
    assert.ok(
      lines.some((line) => /^ {2}lost .* 1$/.test(line)),
      lines.join("\n"),
    );
    assert.equal(sparkline([0, 1, 8, 4]), " ▁█▄");
  });
});
