/** Sentences about connections that migrated. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Moves, Place } from "../../loader/manage/group_news.ts";
import { movesText } from "../../loader/manage/moves_text.ts";

const place = (pid: number | null, generation: number): Place => ({ pid, generation });

const text = (change: Partial<Moves>) =>
  movesText(
    {
      queued: 0,
      handshakes: 0,
      byKernel: 0,
      dropped: 0,
      from: [place(11, 1)],
      into: [place(22, 2)],
      fromStandby: false,
      intoStandby: false,
      ...change,
    },
    "newest",
  );

test("who had the connections, and who has them now", () => {
  assert.equal(
    text({ queued: 3 }),
    "3 waiting connections moved from pid 11 to pid 22 (generation 2)",
  );
  assert.equal(
    text({ queued: 1, handshakes: 20 }),
    "1 waiting connection and 20 handshakes moved from pid 11 to pid 22 (generation 2)",
  );
});

test("several listeners, some of one process, of several generations", () => {
  const from = [place(1, 1), place(2, 1), place(2, 1), place(3, 1), place(4, 1), place(5, 1)];
  const into = [place(6, 2), place(7, 3)];
  assert.equal(
    text({ queued: 9, from, into }),
    "9 waiting connections moved from pids 1, 2, 3 and 2 more to pids 6, 7",
  );
});

test("to and from the standby", () => {
  assert.equal(
    text({ queued: 2, into: [], intoStandby: true }),
    "2 waiting connections moved from pid 11 to the standby",
  );
  assert.equal(
    text({ queued: 2, from: [], fromStandby: true }),
    "2 waiting connections moved from the standby to pid 22 (generation 2)",
  );
});

test("what no target got, and owners that were never seen", () => {
  assert.equal(
    text({ byKernel: 2, dropped: 1 }),
    "left to the kernel's hash: 2 connections of pid 11; dropped by policy (migrate newest): 1 connection of pid 11",
  );
  assert.equal(text({ dropped: 4, from: [] }), "dropped by policy (migrate newest): 4 connections");
  assert.equal(
    text({ queued: 1, from: [place(null, 1)] }),
    "1 waiting connection moved from pid ? to pid 22 (generation 2)",
  );
});
