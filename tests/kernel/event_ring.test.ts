/** Events of sidecars, in the kernel's memory, and the command that shows them. */
import assert from "node:assert/strict";
import { existsSync, rmdirSync, rmSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Env } from "../../cli/env.ts";
import { follow } from "../../cli/events/follow.ts";
import { BpfMap } from "../../loader/bpf/map.ts";
import { obtain } from "../../loader/bpf/pin.ts";
import { PinTree } from "../../loader/bpf/pin_tree.ts";
import { KEPT_EVENTS } from "../../loader/core/map_shapes.ts";
import { EventLog } from "../../loader/events/event_log.ts";
import { EventRing } from "../../loader/events/event_ring.ts";
import type { SidecarEvent } from "../../loader/log.ts";
import { Child, TempDir } from "../helpers/host/child.ts";
import { BIN, runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

const line = (text: string): SidecarEvent => ({ level: "info", event: "moved", text, fields: {} });

/** Returns a ring as a sidecar has it, which the scene's end removes. */
function ringOf(s: Scene): EventRing {
  const pinTree = new PinTree(BPFFS);
  const log = new EventLog(() => {});
  const end = log.open(pinTree);
  const ring = EventRing.open(pinTree);
  assert.ok(ring, "nothing is pinned");
  s.defer(() => {
    end();
    ring[Symbol.dispose]();
    pinTree.tidy();
  });
  return ring;
}

/** Starts a sidecar of the scene's SPEC or of another one. */
async function attach(s: Scene, ...args: string[]): Promise<SidecarProcess> {
  const sidecar = await SidecarProcess.attach(...args, "--metrics", "off");
  s.defer(() => sidecar[Symbol.asyncDispose]());
  return sidecar;
}

/** Returns the log lines in a text: without READY, and what else is no event. */
const linesOf = (text: string) => text.split("\n").filter((it) => /^\d{4}-\S+Z /.test(it));

describe("the ring", () => {
  test(
    "keeps the newest, and counts those that were replaced",
    scene(async (s) => {
      const ring = ringOf(s);
      const first = Array.from({ length: 3 }, (_, i) => ring.append(line(`${i}`), i));
      assert.deepEqual(ring.read(0), { events: first, last: 3, missed: 0, mapId: ring.mapId });
      assert.deepEqual(ring.read(2).events, [first[2]]);
      for (let i = 0; i < KEPT_EVENTS; i++) ring.append(line("more"), 0);
      const { events, last, missed } = ring.read(1);
      assert.deepEqual([events.length, last, missed], [KEPT_EVENTS, KEPT_EVENTS + 3, 2]);
      assert.equal(events[0]?.id, 4);
      assert.deepEqual(ring.read(last).events, []);
    }),
  );

  test(
    "passes over a number whose sidecar was killed before it wrote, after a while",
    scene(async (s) => {
      const ring = ringOf(s);
      ring.append(line("before"), 0);
      const map = new BpfMap(obtain(new PinTree(BPFFS).events));
      s.defer(() => map[Symbol.dispose]());
      assert.equal(map.next(), 2);
      ring.append(line("after"), 0);
      assert.deepEqual([ring.read(0).events.length, ring.read(0).last], [1, 1], "it may come yet");
      assert.equal(
        linesOf((await runCli(["events"])).stdout).length,
        2,
        "a command waits for none",
      );
      await until("it is passed over", () => ring.read(0).last === 3);
      assert.deepEqual(
        ring.read(0).events.map(({ text }) => text),
        ["before", "after"],
      );
    }),
  );

  test(
    "begins anew for an id of an earlier one",
    scene(async (s) => {
      const ring = ringOf(s);
      ring.append(line("new"), 0);
      assert.equal(ring.read(400).events.length, 1);
    }),
  );
});

test(
  "a sidecar whose events were removed pins those that follow",
  scene(async (s) => {
    const pinTree = new PinTree(BPFFS);
    const written: string[] = [];
    const log = new EventLog(({ text }) => written.push(text));
    const end = log.open(pinTree);
    s.defer(() => {
      end();
      pinTree.tidy();
    });
    log.log(line("before"));
    rmSync(pinTree.events);
    rmdirSync(pinTree.root);
    log.log(line("after"));
    using ring = EventRing.open(pinTree);
    assert.deepEqual(
      ring?.read(0).events.map(({ text }) => text),
      ["after"],
    );
    assert.deepEqual(written, ["before", "after"]);
  }),
);

test(
  "follow() shows what a map got before it was removed, and all of the next one",
  scene(async (s) => {
    const shown: string[] = [];
    const stop = new AbortController();
    const unread = new AbortController().signal;
    const env = { stop: stop.signal, unread } as Env;
    using old = ringOf(s);
    old.append(line("1 of the old one"), 0);
    const { events } = new PinTree(BPFFS);
    const end = follow(
      env,
      () => EventRing.open({ events }),
      ({ text }) => shown.push(text),
    );
    await until("the first is shown", () => shown.length === 1);
    old.append(line("2 of the old one"), 0);
    rmSync(events);
    using next = EventRing.make({ events });
    for (const number of [1, 2, 3]) next.append(line(`${number} of the next one`), 0);
    await until("the last is shown", () => shown.some((it) => it === "3 of the next one"));
    stop.abort();
    await end;
    assert.deepEqual(shown, [
      "1 of the old one",
      "2 of the old one",
      "1 of the next one",
      "2 of the next one",
      "3 of the next one",
    ]);
  }),
);

describe("events", () => {
  test(
    "has the lines of every sidecar's log, also after one was killed",
    scene(async (s) => {
      const none = await runCli(["events"]);
      assert.deepEqual([none.code, none.stdout], [4, ""]);
      assert.match(none.stderr, /^reuseport-migrate: no sidecar has written events at /);
      const old = await s.listener();
      const next = await s.listener({ port: s.port + 1_000 });
      const one = await attach(s, s.spec);
      const two = await attach(s, `:${s.port + 1_000}`);
      await s.listener();
      await old.process.kill();
      await next.process.kill();
      for (const sidecar of [one, two]) {
        await until("a close is logged", () => / closed$/m.test(sidecar.output()));
      }
      await one.kill();
      const { code, stdout } = await runCli(["events"]);
      const logged = [...linesOf(one.output()), ...linesOf(two.output())];
      assert.ok(logged.length > 4);
      assert.deepEqual([code, linesOf(stdout).toSorted()], [0, logged.toSorted()]);
      const json = (await runCli(["events", "--json"])).stdout.trimEnd().split("\n");
      const all = json.map((text) => JSON.parse(text));
      assert.deepEqual(
        all.map(({ id }) => id),
        all.map((_, i) => i + 1),
      );
      assert.deepEqual(new Set(all.map((it) => it.sidecar_pid)), new Set([one.pid, two.pid]));
    }),
  );

  test(
    "selects by SPEC, name, level and time; a near miss is an error",
    scene(async (s) => {
      await s.listener();
      const sidecar = await attach(s, s.spec);
      await until("the last line of its start", () => /probed whether/.test(sidecar.output()));
      const ids = async (...args: string[]) => {
        const { code, stdout, stderr } = await runCli(["events", "--json", ...args]);
        assert.deepEqual([code, stderr], [0, ""]);
        return stdout.split("\n").filter((it) => it !== "").length;
      };
      const count = await ids();
      assert.ok(count >= 2);
      assert.ok((await ids(s.spec)) >= 2);
      assert.equal(await ids("127.0.0.2:1"), 0);
      assert.equal(await ids("--event", "attached"), 1);
      assert.equal(await ids("--level", "error"), 0);
      await sleep(5);
      assert.equal(await ids("--since", "1ms"), 0);
      assert.equal(await ids("--since", "1h"), count);
      const miss = await runCli(["events", "--event", "movd"]);
      assert.deepEqual([miss.code, miss.stdout], [2, ""]);
      assert.match(
        miss.stderr,
        /^reuseport-migrate: --event 'movd' is no event: did you mean 'moved'/,
      );
      for (const args of [
        ["--level", "warm"],
        ["--since", "yesterday"],
        ["--sinze", "1m"],
      ]) {
        assert.equal((await runCli(["events", ...args])).code, 2, args.join(" "));
      }
    }),
  );

  test(
    "--follow waits for a sidecar, and shows what the next one says, too",
    scene(async (s) => {
      using dir = new TempDir();
      await using follow = new Child(process.execPath, [BIN, "events", "-f"], dir.file("out"));
      await s.listener();
      const seen = () => linesOf(follow.output());
      for (const round of [1, 2]) {
        const sidecar = await attach(s, s.spec);
        await until(`sidecar ${round} is seen`, () => {
          const lines = linesOf(sidecar.output());
          return lines.length > 0 && lines.every((it) => seen().includes(it));
        });
        await sidecar.stop();
        assert.equal(existsSync(new PinTree(BPFFS).events), false, "events are left behind");
      }
      assert.equal(await follow.stop("SIGINT"), 0);
    }),
  );
});
