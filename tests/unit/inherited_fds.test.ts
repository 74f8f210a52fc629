/** Which file descriptors a process was started with, and which are Node's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inheritedOf, type OpenFile } from "../../cli/process/inherited_fds.ts";

const file = (target: string): OpenFile => ({ target, isWriteEnd: false });
const reads = (pipe: number) => file(`pipe:[${pipe}]`);
const writes = (pipe: number): OpenFile => ({ target: `pipe:[${pipe}]`, isWriteEnd: true });
const [epoll, event] = [file("anon_inode:[eventpoll]"), file("anon_inode:[eventfd]")];

/** The inherited ones of a process with these files; what Node has opened fills the gaps. */
function inherited(own: Readonly<Record<number, OpenFile>>): number[] {
  const node = [epoll, reads(1), writes(1), reads(2), writes(2), event, epoll, event];
  const files = new Map(Object.entries(own).map(([fd, each]) => [Number(fd), each]));
  for (let fd = 0; node.length > 0; fd++) {
    const next = files.has(fd) ? undefined : node.shift();
    if (next) files.set(fd, next);
  }
  return [...inheritedOf(files)].toSorted((a, b) => a - b);
}

const STDIO = { 0: file("/dev/null"), 1: writes(8), 2: writes(8) };

test("what the shell opened, wherever its numbers are", () => {
  assert.deepEqual(inherited(STDIO), [0, 1, 2]);
  assert.deepEqual(inherited({ ...STDIO, 3: file("/a") }), [0, 1, 2, 3]);
  const more = { 7: file("socket:[5]"), 30: file("/dev/null") };
  assert.deepEqual(inherited({ ...STDIO, ...more }), [0, 1, 2, 7, 30]);
  assert.deepEqual(inherited({ ...STDIO, 9: reads(9), 11: reads(9) }), [0, 1, 2, 9, 11]);
});

test("both ends of a pipe, and what only an event loop has, if they come first", () => {
  const pair = { 3: reads(7), 4: writes(7), 5: event };
  assert.deepEqual(inherited({ ...STDIO, ...pair }), [0, 1, 2, 3, 4, 5]);
  // Behind the first of Node's they look like Node's.
  assert.deepEqual(inherited({ ...STDIO, 30: reads(7), 31: writes(7) }), [0, 1, 2]);
});
