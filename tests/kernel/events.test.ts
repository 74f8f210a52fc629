/** Bind events: of the watched ports, and of no others that share a bit or a word with one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BindEvents } from "../../loader/observe/bind_events.ts";
import { scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

/** As the map's words are laid out. */
const WORD = 64;
const RANGE = 1024;

/** The sandbox's cgroup: its processes are told of, others of the host are not. */
function cgroup(): string {
  const found = process.env["SANDBOX_CGROUP"];
  if (!found) throw new Error("the sandbox has no cgroup: mount cgroup v2");
  return found;
}

test(
  "a bind to a watched port is told, one to any other is not",
  scene(async (s) => {
    const process = await s.process();
    let told = 0;
    using events = new BindEvents(cgroup(), [], () => told++);
    const bind = (port: number) => process.churn({ address: s.address, port }, 1);
    /** The last is watched, and events are told in order: none of those before was. */
    const onlyLast = async (...ports: number[]) => {
      const before = told;
      for (const port of ports) await bind(port);
      await until("the last is told", () => told > before);
      assert.equal(told, before + 1, `binds told of ${ports}`);
    };

    // The first of a word, so that a neighbour above is in it too.
    const first = Math.ceil(s.port / WORD) * WORD;
    const last = 65_535;
    events.setPorts([first, last]);
    await onlyLast(first + 1, first + WORD, first + RANGE, first - 1, first);
    await onlyLast(last - 1, last - WORD, last);

    events.setPorts([first + 1, 1]);
    await onlyLast(first, last, first + 1);
    await onlyLast(first + 2, 1);
    events.setPorts([first]);
    await onlyLast(first + 1, 1, first);
  }),
);

test(
  "IPv6 too, and without a port nothing",
  scene(async (s) => {
    const process = await s.process();
    let told = 0;
    using events = new BindEvents(cgroup(), [s.port], () => told++);
    await process.churn({ address: s.address, port: s.port }, 1);
    await until("the bind is told", () => told === 1);
    events.setPorts([]);
    await process.churn({ address: s.address, port: s.port }, 1);
    events.setPorts([s.port]);
    await process.churn({ address: s.address, port: s.port }, 1);
    await until("the next bind is told", () => told > 1);
    assert.equal(told, 2);
  }, "::1"),
);

test(
  "who bound is told",
  scene(async (s) => {
    const [one, other] = [await s.process(), await s.process()];
    const told: number[] = [];
    using _events = new BindEvents(cgroup(), [s.port], (pids) => told.push(...pids));
    await one.churn({ address: s.address, port: s.port }, 2);
    await until("the first is told", () => told.includes(one.pid));
    assert.equal(told.includes(other.pid), false);
    await other.churn({ address: s.address, port: s.port }, 1);
    await until("the other is told", () => told.includes(other.pid));
  }),
);
