/** Bind events: of the watched ports and namespaces only, and as many as are permitted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BIND_BUDGET } from "../../loader/core/abi.ts";
import { netnsInode } from "../../loader/index.ts";
import { BindEvents, EVERY_NETNS, type WatchedPort } from "../../loader/observe/bind_events.ts";
import { TestNetns } from "../helpers/net/netns.ts";
import { scene } from "../helpers/scene/scene.ts";
import type { ListenerProcess } from "../helpers/servers/listener.ts";
import { until } from "../helpers/until.ts";

/** Ports that share a bit of the first check. */
const RANGE = 1024;

/** Every port, in every network namespace. */
const EVERY: readonly WatchedPort[] = [{ port: null, netns: EVERY_NETNS }];

/** The ports, in every network namespace. */
const everywhere = (...ports: number[]): WatchedPort[] =>
  ports.map((port) => ({ port, netns: EVERY_NETNS }));

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

    // The first of a range, so that a neighbour above is in it too.
    const first = Math.ceil(s.port / RANGE) * RANGE;
    const last = 65_535;
    events.watch(everywhere(first, last));
    await onlyLast(first + 1, first + 64, first + RANGE, first - 1, first);
    await onlyLast(last - 1, last - RANGE, last);

    events.watch(everywhere(first + 1, 1));
    await onlyLast(first, last, first + 1);
    await onlyLast(first + 2, 1);
    events.watch(everywhere(first));
    await onlyLast(first + 1, 1, first);

    events.watch(EVERY);
    for (const port of [1, first + 1, last]) await onlyLast(port);
    events.watch(everywhere(first));
    await onlyLast(first + 1, 1, first);
  }),
);

test(
  "IPv6 too, and without a port nothing",
  scene(async (s) => {
    const process = await s.process();
    let told = 0;
    using events = new BindEvents(cgroup(), everywhere(s.port), () => told++);
    await process.churn({ address: s.address, port: s.port }, 1);
    await until("the bind is told", () => told === 1);
    events.watch(everywhere());
    await process.churn({ address: s.address, port: s.port }, 1);
    events.watch(everywhere(s.port));
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
    using _events = new BindEvents(cgroup(), everywhere(s.port), (pids) => told.push(...pids));
    await one.churn({ address: s.address, port: s.port }, 2);
    await until("the first is told", () => told.includes(one.pid));
    assert.equal(told.includes(other.pid), false);
    await other.churn({ address: s.address, port: s.port }, 1);
    await until("the other is told", () => told.includes(other.pid));
  }),
);

test(
  "a bind in another network namespace is told only if that is watched",
  scene(async (s) => {
    const { port } = s;
    const netns = await TestNetns.make(s);
    const [here, there] = [await s.process(), await s.process(netns.under)];
    const last = await s.process();
    const told = new Set<number>();
    using events = new BindEvents(cgroup(), [], (pids) => {
      for (const pid of pids) told.add(pid);
    });
    const bind = (process: ListenerProcess, port: number) =>
      process.churn({ address: s.address, port }, 1);
    /** Only these are told, of one bind each; that of `last` is told in any case, after them. */
    const areTold = async (watched: readonly WatchedPort[], ...processes: ListenerProcess[]) => {
      events.watch([...watched, ...everywhere(port + 1)]);
      await bind(here, port);
      await bind(there, port);
      await bind(last, port + 1);
      await until("the last is told", () => told.has(last.pid));
      assert.deepEqual(told, new Set([...processes, last].map(({ pid }) => pid)));
      told.clear();
    };
    const own = { port, netns: netnsInode("/proc/self/ns/net") };
    const other = { port, netns: netns.inode };
    await areTold([own], here);
    await areTold([other], there);
    await areTold([own, other], here, there);
    await areTold(everywhere(port), here, there);
    await areTold([]);
    assert.equal(events.missed, 0);

    // More than the map has room for: none is left out.
    const many = Array.from({ length: 2_000 }, (_, i) => ({ port, netns: 1 + i }));
    await areTold([...many, own], here, there);
    await areTold([own], here);
  }),
);

test(
  "as many binds are told as are permitted, and the others are counted",
  scene(async (s) => {
    const { address, port } = s;
    const process = await s.process();
    let batches = 0;
    using events = new BindEvents(cgroup(), everywhere(port), () => batches++);
    await process.churn({ address, port }, BIND_BUDGET);
    await until("they are told", () => batches > 0);
    assert.equal(events.missed, 0);
    await process.churn({ address, port }, 1_000);
    assert.equal(events.missed, 1_000);
    const before = batches;
    await process.churn({ address, port }, 1);
    assert.equal(events.permit(), 1_001);
    await process.churn({ address, port }, 1);
    await until("the next bind is told", () => batches > before);
    assert.equal(batches, before + 1, "none was told while none was permitted");
    assert.equal(events.permit(), 0);
  }),
);
