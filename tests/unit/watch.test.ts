/** status --watch without a kernel: lines, rates, and what a window shows. */
import assert from "node:assert/strict";
import { hostname, release } from "node:os";
import { describe, test } from "node:test";
import { changes } from "../../cli/status/lines.ts";
import { Reading } from "../../cli/status/reading.ts";
import { fitToScreen, Screen } from "../../cli/status/screen.ts";
import { watch } from "../../cli/status/watch.ts";
import type { Decision, GroupStatus, Status } from "../../loader/index.ts";
import { groupStatus, listenerStatus, statusOf } from "../helpers/fixtures.ts";

/** The lines of the last of these groups' readings, 500 ms apart. */
function lines(...readings: (readonly GroupStatus[])[]): string[] {
  let reading: Reading | null = null;
  for (const [i, groups] of readings.entries()) {
    reading = new Reading(statusOf(groups, 0), i * 500, reading);
  }
  return reading ? changes(reading, "NOW") : [];
}

const syn = (count: number): Decision => ({ stage: "syn", outcome: "kernel", count });

describe("a line", () => {
  const one = groupStatus({
    listeners: [
      listenerStatus({ generation: 2, queueLength: 1 }),
      listenerStatus({ generation: 2 }),
      listenerStatus({ generation: 1, role: "draining", queueLength: 3, halfOpen: 20 }),
    ],
    decisions: [syn(100)],
  });
  const state =
    "NOW 0.0.0.0:80 (netns 7) 2 target (generation 2), 1 draining (generation 1); queued 4, half-open 20";

  test("is there for each group at first, then for those that changed", () => {
    assert.deepEqual(lines([one]), [state]);
    assert.deepEqual(lines([one], [one]), []);
  });

  test("counts what was decided since the one before, and how fast", () => {
    const after: GroupStatus = {
      ...one,
      decisions: [
        { stage: "accept_queue", outcome: "fallback", reason: "gone", count: 2 },
        syn(110),
      ],
    };
    assert.deepEqual(lines([one], [after]), [
      `${state}; accept_queue fallback (gone) 2 (4/s), syn kernel 10 (20/s)`,
    ]);
  });

  test("says that a group came or went, and that there is none", () => {
    assert.deepEqual(lines([]), ["NOW nothing is attached"]);
    assert.deepEqual(lines([], []), []);
    assert.deepEqual(lines([], [one]), [`${state}; syn kernel 100 (200/s)`]);
    assert.deepEqual(lines([one], []), [
      "NOW 0.0.0.0:80 (netns 7) is no longer attached",
      "NOW nothing is attached",
    ]);
    const silent = groupStatus({ listeners: [] });
    assert.deepEqual(lines([silent]), [
      "NOW 0.0.0.0:80 (netns 7) nothing listens; queued 0, half-open 0",
    ]);
  });

  test("goes on counting when the group has grown, with another program", () => {
    const grown = { ...one, programId: one.programId + 1, decisions: [syn(9)] };
    const [line = ""] = lines([{ ...one, decisions: [syn(3)] }], [grown]);
    assert.match(line, /syn kernel 6 \(12\/s\)/);
  });

  test("counts from zero when the group was pinned again", () => {
    const again = { ...one, firstProgramId: one.firstProgramId + 1, decisions: [syn(3)] };
    assert.deepEqual(lines([one], [again]), [`${state}; syn kernel 3 (6/s)`]);
  });
});

describe("a window", () => {
  test("cuts what is too wide or too long, and says how much", () => {
    assert.deepEqual(fitToScreen(["abcdef", "b"], 3, 2), ["abc", "b"]);
    assert.deepEqual(fitToScreen(["a", "b", "c", "d"], 80, 3), ["a", "b", "... 2 more lines"]);
    assert.deepEqual(fitToScreen(["a", "b"], 80, 1), ["... 2 more lines"]);
  });

  test("is redrawn in one write, and is left as it was, with what was shown last", () => {
    const written: string[] = [];
    const out = { write: (text: string) => written.push(text), columns: 3, rows: 5 };
    {
      using screen = new Screen(out);
      screen.draw(["one", "twofold", "-", "\x1b[31m"]);
    }
    assert.deepEqual(written, [
      "\x1b[?1049h\x1b[?25l",
      "\x1b[Hone\r\ntwo\r\n-\x1b[K\r\n?[3\x1b[J",
      "\x1b[?25h\x1b[?1049lone\ntwofold\n-\n?[31m\n",
    ]);
  });
});

test("watching a terminal redraws until the signal, and leaves it when a reading fails too", async () => {
  const stop = new AbortController();
  let text = "";
  const stdout = { write: (more: string) => (text += more), isTTY: true, columns: 100, rows: 30 };
  const env = {
    ...{ stdout, stderr: stdout, vars: {}, terminal: true, stop: stop.signal },
    unread: new AbortController().signal,
    onSignals: () => () => {},
  };
  let readings = 0;
  const read = (): Status => {
    if (++readings === 3) stop.abort("SIGINT");
    return statusOf([groupStatus({ decisions: [syn(readings)] })], 0);
  };
  await watch(env, { intervalMs: 10, json: false, read });
  assert.equal(readings, 3);
  assert.equal(text.split("\x1b[H").length - 1, 3);
  assert.match(text, /connections {2}became +count {2}per s/);
  assert.ok(text.includes(`\x1b[?1049l${hostname()}, Linux ${release()}, every 10ms: `));

  text = "";
  const fails = () => {
    throw new Error("no status");
  };
  const going = { ...env, stop: new AbortController().signal };
  await assert.rejects(watch(going, { intervalMs: 10, json: false, read: fails }), /no status/);
  assert.ok(text.endsWith("\x1b[?25h\x1b[?1049l"));
});

/** Watches 30 groups in a window of 10 rows; `press` types keys, each followed by a reading. */
async function watchKeys(...keys: readonly string[]) {
  const frames: string[] = [];
  const stdout = {
    write: (more: string) => frames.push(more),
    ...{ isTTY: true, columns: 80, rows: 10 },
  };
  const state = { closed: 0, suspended: 0 };
  let type: (input: string) => void = assert.fail;
  const all = Array.from({ length: 30 }, (_, i) =>
    groupStatus({ key: { ...groupStatus({}).key, port: 1000 + i } }),
  );
  let readings = 0;
  await watch(
    {
      ...{ stdout, stderr: stdout, vars: { NO_COLOR: "1" }, terminal: true },
      stop: AbortSignal.timeout(10_000),
      unread: new AbortController().signal,
      onSignals: () => () => {},
      keys: (typed) => {
        type = typed;
        return { suspend: () => void state.suspended++, close: () => void state.closed++ };
      },
    },
    {
      intervalMs: 1,
      json: false,
      read: () => {
        const key = keys[readings++ - 1];
        if (key !== undefined) type(key);
        if (readings > keys.length + 1) type("q");
        return statusOf(all, 0);
      },
    },
  );
  return { frames: frames.filter((frame) => frame.startsWith("\x1b[H")), ...state };
}

/** The first port that a frame shows below its title. */
const firstPort = (frame = "") => /\d\.0\.0\.0:(\d+) /.exec(frame)?.[1];

describe("keys", () => {
  test("q ends, and the terminal is given back", async () => {
    const { frames, closed } = await watchKeys("q");
    assert.equal(closed, 1);
    assert.ok(frames.length <= 2, `${frames.length}`);
    assert.match(frames[0] ?? "", /\(q quits, \? lists keys\)/);
  });

  test("arrows and pages scroll, within the text, and the title stays", async () => {
    const end = await watchKeys("\x1b[F");
    const last = end.frames.at(-1) ?? "";
    assert.doesNotMatch(last, /more lines/);
    assert.match(last, /:1029 /);
    assert.match(last, /q quits/);
    const home = await watchKeys("\x1b[F", "\x1b[H");
    assert.equal(firstPort(home.frames.at(-1)), "1000");
    const paged = await watchKeys("\x1b[6~", " ");
    assert.notEqual(firstPort(paged.frames.at(-1)), "1000");
    const back = await watchKeys("\x1b[B", "j", "\x1b[Akk\x1b[5~");
    assert.equal(firstPort(back.frames.at(-1)), "1000");
  });

  test("? lists the keys until the next key", async () => {
    const { frames } = await watchKeys("?", "x");
    const lists = frames.map((frame) => /Keys of status --watch[\s\S]*PgUp/.test(frame));
    assert.ok(lists.includes(true));
    assert.equal(lists.at(-1), false);
    assert.equal(firstPort(frames.at(-1)), "1000");
    assert.equal((await watchKeys("x")).frames.join("").includes("Keys of"), false);
  });

  test("Ctrl-Z suspends, Ctrl-C quits", async () => {
    assert.equal((await watchKeys("\x1a")).suspended, 1);
    assert.equal((await watchKeys("\x03")).closed, 1);
  });
});
