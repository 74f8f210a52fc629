/** A group gets more listeners than it has slots. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sidecar, SidecarOptions } from "../../loader/index.ts";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { PYTHON } from "../helpers/host/script.ts";
import { connections, lost } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { Shares } from "../helpers/load/shares.ts";
import { tempDir } from "../helpers/net/netns.ts";
import { runCli } from "../helpers/product/cli.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { decisions, groupOf, migratingDecisions } from "../helpers/scene/status.ts";
import { ReloadingServer } from "../helpers/servers/reloading_server.ts";
import { until } from "../helpers/until.ts";

const HOLD = { timeMs: 600_000, max: 4096 };
const WORKERS = 100;
/** Slots of a group with one listener at attach, and those of a group. */
const FIRST_SLOTS = 64;
const MAX_SLOTS = 1024;
/** Connections for each listener: a share below a third happens by chance once in 10^8. */
const MEAN = 60;
const COUNT = 20;

function sharesOf(s: Scene): Shares {
  const result = new Shares(s.address, s.port);
  s.defer(() => result[Symbol.asyncDispose]());
  return result;
}

/** Opens one listener, then a sidecar, then the others one by one. */
async function growing(
  s: Scene,
  options: Partial<SidecarOptions>,
  afterFirst = async (_sidecar: Sidecar, _all: Shares) => {},
): Promise<{ all: Shares; sidecar: Sidecar }> {
  const all = sharesOf(s);
  await all.open(1);
  const sidecar = await s.sidecar(options);
  await afterFirst(sidecar, all);
  for (let count = 1; count < WORKERS; count++) {
    await all.open(1);
    await sidecar.reconcile();
  }
  return { all, sidecar };
}

/** Asserts that each listener gets between a third of its share and three times as much. */
async function requireShares(all: Shares, listeners: number, drained = 0): Promise<void> {
  const { served, lost: failed } = await all.visit(MEAN * (listeners - drained));
  assert.equal(failed, 0);
  assert.equal(served.length, listeners);
  const few = served.slice(0, drained).concat(served.slice(drained).map((n) => Math.min(n, 1)));
  assert.deepEqual(few, [...new Array(drained).fill(0), ...new Array(listeners - drained).fill(1)]);
  const unfair = served.slice(drained).filter((count) => count < MEAN / 3 || count > 3 * MEAN);
  assert.deepEqual(unfair, [], `of ${MEAN} expected`);
}

const slotsOf = (s: Scene) => groupOf(s.port).listeners.flatMap(({ slot }) => slot ?? []).length;
const warnings = (s: Scene) => s.log.filter(({ level }) => level === "warn").map((it) => it.text);
const newConnections = (s: Scene) =>
  Object.entries(decisions(groupOf(s.port)))
    .filter(([name]) => name.startsWith("syn/"))
    .reduce((sum, [, count]) => sum + count, 0);

describe("listeners that are opened one by one, with a sidecar there first", () => {
  for (const [name, options] of [
    ["the default policy", {}],
    ["--hold", { hold: HOLD }],
    ["--route newest", { route: "newest" }],
  ] as const) {
    test(
      `${name}: each gets its share`,
      scene(async (s) => {
        const { all } = await growing(s, options);
        // On a slow machine the first ones are a generation of their own.
        const { listeners, generation } = groupOf(s.port);
        const older = listeners.filter((one) => one.generation !== generation).length;
        assert.ok(older < WORKERS - 1, `${older}`);
        await requireShares(all, WORKERS, "route" in options ? older : 0);
        assert.equal(slotsOf(s), WORKERS);
        assert.deepEqual(warnings(s), []);
      }),
    );
  }

  test(
    "one is drained: each of the others gets its share",
    scene(async (s) => {
      const { all } = await growing(s, {}, async (sidecar, its) => {
        const pid = groupOf(s.port).listeners[0]?.cookie;
        await its.open(1);
        await sidecar.reconcile();
        const drain = await runCli(["drain", s.spec, "--listener", String(pid)]);
        assert.equal(drain.code, 0, drain.stderr);
      });
      await requireShares(all, WORKERS + 1, 1);
    }),
  );
});

describe("a group that grows", () => {
  test(
    "under load: nothing is lost, and every connection is counted once",
    scene(async (s) => {
      const each = 8;
      using server = await ReloadingServer.start({ port: s.port, listeners: each });
      const sidecar = await s.sidecar({ hold: HOLD });
      const load = { port: s.port, rate: 500, concurrency: 100, limit: 100_000 };
      using client = await LoadClient.start(load);
      let counted = 0;
      const { programId } = groupOf(s.port);
      for (let count = each; count <= 2 * FIRST_SLOTS; count += each) {
        await server.reload("open");
        await sidecar.reconcile();
        const now = newConnections(s);
        assert.ok(now >= counted, `${now} after ${counted}`);
        counted = now;
      }
      assert.notEqual(groupOf(s.port).programId, programId, "it has grown");
      const result = await client.stop();
      assert.equal(lost(result), 0);
      assert.equal(newConnections(s), connections(result));
    }),
  );

  test(
    "twice, keeps its life: slots, counts, generations, attachments; the programs before are gone",
    scene(async (s) => {
      const all = sharesOf(s);
      await all.open(1);
      const sidecar = await s.sidecar();
      const programs: number[] = [];
      let visits = 0;
      for (const count of [1, FIRST_SLOTS, 4 * FIRST_SLOTS]) {
        await all.open(count);
        await all.visit(COUNT);
        visits += COUNT;
        const before = groupOf(s.port);
        await sidecar.reconcile();
        const after = groupOf(s.port);
        programs.push(after.programId);
        assert.equal(newConnections(s), visits);
        assert.deepEqual(
          [after.attached, after.attachments, after.firstProgramId],
          [true, 1, before.firstProgramId],
        );
        const known = ({ slot }: (typeof after.listeners)[number]) => slot !== null;
        const places = (group: typeof after) =>
          new Map(
            group.listeners
              .filter(known)
              .map(({ cookie, slot, generation }) => [cookie, `${slot}, ${generation}`]),
          );
        for (const [cookie, place] of places(before)) {
          assert.equal(places(after).get(cookie), place);
        }
      }
      assert.equal(new Set(programs).size, 3, programs.join());
      assert.equal(programs[0], groupOf(s.port).firstProgramId);
      const grown = s.log.filter(({ event }) => event === "grown").map(({ fields }) => fields);
      assert.deepEqual(
        grown.map(({ slots }) => slots),
        [4 * FIRST_SLOTS, MAX_SLOTS],
      );
      assert.equal(s.log.filter(({ event }) => event === "reattached").length, 0);
      await requireShares(all, 2 + 5 * FIRST_SLOTS);
    }),
  );

  test(
    "keeps its standby: it holds afterwards, and its counts go on",
    scene(async (s) => {
      const { all, sidecar } = await growing(s, { hold: HOLD });
      await all.close(WORKERS);
      await all.connect(COUNT);
      await sidecar.reconcile();
      assert.equal(groupOf(s.port).hold?.connections, COUNT);
      await all.open(FIRST_SLOTS);
      await sidecar.reconcile();
      const { served, lost: failed } = await all.serve();
      assert.deepEqual([served.reduce((sum, n) => sum + n), failed], [COUNT, 0]);
      const { hold, holds } = groupOf(s.port);
      assert.deepEqual([hold?.received.syn, holds.started, holds.handed_over], [COUNT, 1, 1]);
      assert.deepEqual(holds.connections, { handed_over: COUNT, reset: 0 });
    }),
  );

  test(
    "during a hold, while new listeners are not ready: the hold goes on, with all it holds",
    scene(async (s) => {
      const ready = `${tempDir(s).path}/ready`;
      const all = sharesOf(s);
      await all.open(1);
      const command = `test -e ${ready}`;
      const sidecar = await s.sidecar({ hold: HOLD, readyCheck: { command } });
      await all.close(1);
      await all.connect(COUNT);
      await sidecar.reconcile();
      await all.open(WORKERS);
      for (let i = 0; i < 5; i++) await sidecar.reconcile();
      assert.ok(s.log.some(({ event }) => event === "grown"));
      await all.connect(COUNT);
      assert.equal(groupOf(s.port).hold?.holding, true);
      assert.equal(groupOf(s.port).hold?.connections, 2 * COUNT);
      assert.equal(groupOf(s.port).hold?.received.syn, 2 * COUNT);
      writeFileSync(ready, "");
      const isOver = async () => {
        await sidecar.reconcile();
        return groupOf(s.port).holds.handed_over === 1;
      };
      await until("it is handed over", isOver, 20);
      const { served, lost: failed } = await all.serve();
      assert.deepEqual([served.reduce((sum, n) => sum + n), failed], [2 * COUNT, 0]);
      await requireShares(all, WORKERS);
    }),
  );

  test(
    "during a hold, while a ready check is under way: the check reaches its listener afterwards",
    scene(async (s) => {
      const check =
        'import os, socket; e = os.environ; to = (e["REUSEPORT_MIGRATE_ADDRESS"], int(e["REUSEPORT_MIGRATE_PORT"])); ' +
        's = socket.create_connection(to, 0.5, ("", int(e["REUSEPORT_MIGRATE_SOURCE_PORT"]))); ' +
        's.sendall(b"x\\n"); assert s.recv(64).startswith(e["REUSEPORT_MIGRATE_PID"].encode())';
      const command = `exec ${PYTHON} -c '${check}' 2>/dev/null`;
      const all = sharesOf(s);
      await all.open(1);
      const sidecar = await s.sidecar({ hold: HOLD, readyCheck: { command } });
      await all.close(1);
      await sidecar.reconcile();
      const cgroup = new TestCgroup(s, "candidate").create();
      const candidate = await s.listener({}, await s.process(cgroup.under));
      await sidecar.reconcile();
      await all.open(WORKERS);
      await sidecar.reconcile();
      assert.ok(s.log.some(({ event }) => event === "grown"));
      assert.equal(groupOf(s.port).hold?.holding, true);
      await sleep(1_000); // the check that was under way has failed
      await candidate.serve();
      const isOver = async () => {
        await sidecar.reconcile();
        return groupOf(s.port).holds.handed_over === 1;
      };
      await until("it is handed over", isOver, 20);
    }),
  );

  for (const closes of ["before", "after"] as const) {
    test(
      `with handshakes under way on a listener that closes ${closes} it: they migrate as planned`,
      scene(async (s) => {
        const options = [{ level: 1, name: 9, value: 1 }]; // SO_KEEPALIVE: a settings class
        const old = await s.listener({ options });
        const sidecar = await s.sidecar();
        const { release } = await bringTo("final ack", COUNT, s);
        await s.listener({ options });
        const all = sharesOf(s);
        await all.open(1);
        await sidecar.reconcile();
        if (closes === "before") await old.close();
        await all.open(WORKERS);
        await sidecar.reconcile();
        assert.ok(s.log.some(({ event }) => event === "grown"));
        if (closes === "after") await old.close();
        release();
        const moved = () => Object.values(migratingDecisions(groupOf(s.port)));
        await until("all have migrated", () => moved().reduce((sum, n) => sum + n, 0) === COUNT);
        const found = Object.keys(migratingDecisions(groupOf(s.port)));
        const isPlanned = (name: string) => /^handshake_\w+\/selected$/.test(name);
        assert.ok(found.every(isPlanned), `by class, not as of an unknown source: ${found.join()}`);
      }),
    );
  }

  test(
    "goes on waking destinations, and counting that",
    scene(async (s) => {
      const sidecarOf = async () => s.sidecar({ wake: "always" });
      const first = await s.listener();
      const sidecar = await sidecarOf();
      const all = sharesOf(s);
      const second = await s.listener();
      await sidecar.reconcile();
      await s.peers(COUNT);
      await first.close();
      await until("it is woken", () => groupOf(s.port).wakeups === 1);
      await all.open(WORKERS);
      await sidecar.reconcile();
      assert.ok(s.log.some(({ event }) => event === "grown"));
      assert.equal(groupOf(s.port).wakeups, 1);
      await second.close();
      await until("they are woken", () => groupOf(s.port).wakeups > 1);
    }),
  );
});

describe("a group that cannot grow", () => {
  test(
    "with more listeners than the ABI's limit: each gets its share, and one true warning",
    scene(async (s) => {
      const count = MAX_SLOTS + 50;
      const all = sharesOf(s);
      await all.open(2);
      const sidecar = await s.sidecar({ hold: HOLD, route: "newest" });
      const { cookie } = groupOf(s.port).listeners[0] ?? {};
      const drain = () => runCli(["drain", s.spec, "--listener", String(cookie)]);
      assert.equal((await drain()).code, 0);
      await all.open(count - 2);
      await sidecar.reconcile();
      await requireShares(all, count);
      assert.equal(groupOf(s.port).hold, null);
      assert.deepEqual(warnings(s), [
        `${s.spec}: 50 listeners have no slot (a group has 1024 at most): the kernel's hash chooses among all listeners, also drained ones and those of older generations, and there is no standby`,
      ]);
      const refused = await drain();
      assert.equal(refused.code, 7, refused.stderr);
      assert.match(refused.stderr, /50 of its listeners have no slot/);

      await all.close(60);
      await sidecar.reconcile();
      assert.equal(groupOf(s.port).hold?.standby, true, "it holds again");
      assert.equal(slotsOf(s), count - 60);
    }),
  );

  test(
    "because every filter is locked: each gets its share, and the reason is said",
    scene(async (s) => {
      const all = sharesOf(s);
      await all.open(1);
      const sidecar = await s.sidecar({ hold: HOLD });
      const { programId } = groupOf(s.port);
      await all.open(WORKERS - 1);
      await all.lock();
      await sidecar.reconcile();
      await sidecar.reconcile();
      await requireShares(all, WORKERS);
      assert.equal(groupOf(s.port).programId, programId);
      const [warning = "", ...more] = warnings(s);
      assert.match(warning, /36 listeners have no slot \(there are 64, and .*SO_LOCK_FILTER.*hash/);
      assert.deepEqual(more, []);
    }),
  );
});
