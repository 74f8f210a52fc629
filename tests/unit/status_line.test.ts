/** The line that `systemctl status` shows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { outlineText, StatusLine } from "../../cli/attach/status_line.ts";
import type { Outline } from "../../loader/service/outline.ts";

const outline: Outline = { groups: 0, listeners: 0, holding: [], unguarded: [] };
const text = (change: Partial<Outline>, refusal: string | null = null) =>
  outlineText({ ...outline, ...change }, refusal);

test("says what is guarded, what is held, and why a SPEC covers nothing", () => {
  assert.equal(text({ groups: 1, listeners: 1 }), "1 group, 1 listener");
  assert.equal(
    text({ groups: 2, listeners: 3, holding: ["127.0.0.1:80"] }),
    "2 groups, 3 listeners; holds clients of 127.0.0.1:80",
  );
  assert.equal(text({ unguarded: ["why", "why else"] }), "nothing to guard; why; why else");
  assert.equal(
    text({ groups: 1, listeners: 1 }, "file:3: bad"),
    "reload refused: file:3: bad; 1 group, 1 listener",
  );
  assert.equal(
    text({ groups: 9, holding: [..."abcdef"] }),
    "9 groups, 0 listeners; holds clients of a, b, c, d and 2 more",
  );
});

test("is one short line, whatever a name contains", () => {
  const long = text({ unguarded: ["\n\x1b[2J", "x".repeat(10_000)] });
  assert.doesNotMatch(long, /[^ -~]/);
  assert.equal(long.length, 500);
});

test("is sent when it changes, and at the end of every reload", () => {
  const sent: string[] = [];
  let now = outline;
  const line = new StatusLine(
    (state) => sent.push(state),
    () => now,
  );
  line.ready();
  line.update();
  line.update();
  now = { ...now, groups: 1, listeners: 1 };
  line.update();
  line.update();
  line.ready("bad");
  line.update();
  line.ready();
  assert.deepEqual(sent, [
    "READY=1\nSTATUS=nothing to guard",
    "STATUS=1 group, 1 listener",
    "READY=1\nSTATUS=reload refused: bad; 1 group, 1 listener",
    "READY=1\nSTATUS=1 group, 1 listener",
  ]);
});
