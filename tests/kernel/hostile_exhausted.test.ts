/**
 * A sidecar whose file descriptors are used up, for which one moment is enough: it stays, says why
 * it cannot work, and makes up for it once there are some again.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { PinTree } from "../../loader/bpf/pin_tree.ts";
import { Group } from "../../loader/group/group.ts";
import { placed } from "../../loader/hold/members.ts";
import { ReadyGate } from "../../loader/hold/ready_check.ts";
import { readStatus } from "../../loader/index.ts";
import { applyGroup } from "../../loader/manage/apply.ts";
import { Observer } from "../../loader/observe/observer.ts";
import { freeFds, leaveFreeFds, withFreeFds } from "../helpers/hostile/descriptors.ts";
import { tally } from "../helpers/load/peer.ts";
import { TestNetns, tempDir } from "../helpers/net/netns.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { StoreProcess } from "../helpers/product/store.ts";
import { ConfiguredSidecar } from "../helpers/scene/configured.ts";
import { BPFFS, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;
/** Without the process that probes, whose end would change the number of open files. */
const NEVER = ["--wake", "never"];
const HOLD = { timeMs: 600_000, max: 4096 };
const FIRST_LOAD = new URL("../helpers/hostile/first_load_main.js", import.meta.url);

const fdsOf = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;

/** Connects, and waits until the server closes the connection. */
async function closed(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1").resume();
  await once(socket, "close").catch(() => {}); // an error is a close, too
}

describe("without a free descriptor a sidecar", () => {
  test(
    "says so and stays; a listener that comes meanwhile becomes a target afterwards",
    scene(async (s) => {
      await s.listener();
      await using sidecar = await SidecarProcess.attach(s.spec, ...NEVER);
      const before = fdsOf(sidecar.pid);
      await leaveFreeFds(sidecar.pid, 0);
      const { cookie } = await s.listener();
      await until("it warns", () => sidecar.warnings().some((line) => /EMFILE/.test(line)));
      await sleep(2_500); // it tries again
      const warnings = sidecar.warnings();
      assert.ok(warnings.length < 8, warnings.join("\n"));
      freeFds(sidecar.pid);
      await until("it is a target", () => {
        const { listeners } = groupOf(s.port);
        return listeners.find((it) => String(it.cookie) === cookie)?.role === "target";
      });
      await until("nothing stays open", () => fdsOf(sidecar.pid) === before);
      await sidecar.stop();
    }),
  );

  test(
    "takes on later a group that it could not take on",
    scene(async (s) => {
      await using sidecar = await SidecarProcess.attach(`:${s.port}`, "--wait", ...NEVER);
      const before = fdsOf(sidecar.pid) + 1; // the lender's socket, from its first use on
      for (const free of [1, 4, 8, 12, 16, 20]) {
        await leaveFreeFds(sidecar.pid, free);
        const listener = await s.listener({ address: `127.0.0.${free + 1}` });
        const isTold = () => sidecar.warnings().some((line) => /EMFILE/.test(line));
        await until("it warns", isTold);
        await sleep(500);
        await listener.close();
        freeFds(sidecar.pid);
        await until("nothing stays open", () => fdsOf(sidecar.pid) <= before);
      }
      await s.listener();
      const attached = () => readStatus({ bpffs: BPFFS }).groups.some((group) => group.attached);
      await until("a group is attached", attached);
      await sidecar.stop();
    }),
  );

  test(
    "answers no client of /metrics, and stays",
    scene(async (s) => {
      await s.listener();
      await using sidecar = await SidecarProcess.attach(s.spec, "--metrics", "0");
      await leaveFreeFds(sidecar.pid, 0);
      for (let i = 0; i < 50; i++) await closed(Number(new URL(sidecar.metricsUrl).port));
      freeFds(sidecar.pid);
      assert.match(await sidecar.metrics(), /^reuseport_migrate_groups\{.*\} 1$/m);
      await sidecar.stop();
    }),
  );

  test(
    "refuses a reload, and stays",
    scene(async (s) => {
      await s.listener();
      const web = { web: { listen: s.spec } };
      const sidecar = await ConfiguredSidecar.start(s, web);
      await leaveFreeFds(sidecar.pid, 0);
      await sidecar.reload();
      await sidecar.logged(/service manager was not notified.*EMFILE/);
      freeFds(sidecar.pid);
      await sidecar.change({ ...web, other: { listen: "127.0.0.1:1", wait: true } });
      await sidecar.stop();
    }),
  );

  test(
    "ends at SIGTERM, and gives its groups back",
    scene(async (s) => {
      await s.listener();
      await using sidecar = await SidecarProcess.attach(s.spec, ...NEVER);
      await leaveFreeFds(sidecar.pid, 0);
      await sidecar.stop();
    }),
  );

  test(
    "wakes destinations later",
    scene(async (s) => {
      const old = await s.listener();
      const sidecar = await s.sidecar({ wake: "always" });
      const { peers } = await bringTo("accept queue", COUNT, s);
      const slow = await s.listener();
      await sidecar.reconcile();
      await withFreeFds(0, async () => {
        await old.close();
        await sleep(100);
      });
      assert.ok(s.log.some(({ level, text }) => level === "warn" && /EMFILE/.test(text)));
      await until("it is woken", () => groupOf(s.port).wakeups === 1);
      await slow.serve();
      assert.deepEqual(await tally(peers), { [slow.process.pid]: COUNT });
    }),
  );

  test(
    "checks later, by a command, whether a listener is ready",
    scene(async (s) => {
      const isReady = tempDir(s).file("ready");
      const command = `sleep 0.2; test -e ${isReady}`;
      const last = await s.listener();
      const sidecar = await s.sidecar({ hold: HOLD, readyCheck: { command } });
      await last.close();
      await sidecar.reconcile();
      const next = await s.listener();
      await sidecar.reconcile();
      await withFreeFds(0, () => sleep(500)); // the command ends
      writeFileSync(isReady, "");
      await until("it is handed over", async () => {
        await sidecar.reconcile();
        return groupOf(s.port).holds.handed_over === 1;
      });
      assert.ok(existsSync(isReady));
      await next.close();
    }),
  );
});

test(
  "a ready check that found too few descriptors is made again",
  scene(async (s) => {
    const netns = await TestNetns.make(s);
    const server = await s.process(netns.under);
    await s.listener({}, server);
    await s.sidecar({ filter: { netns: netns.inode }, netns: netns.pid });
    await (await s.listener({}, server)).serve();
    using observer = new Observer();
    const pinTree = new PinTree(BPFFS);
    using group = Group.open(pinTree.directory(pinTree.groups()[0] ?? ""));
    const members = observer.read().groups.get(group.name) ?? [];
    applyGroup(group, placed(group, members));
    for (let free = 0; free < 8; free++) {
      using gate = new ReadyGate(group, "tcp");
      const step = () => {
        const admitted = gate.admit(members, true);
        gate.advance(members);
        return admitted.length === 2;
      };
      await withFreeFds(free, step);
      for (const warning of gate.warnings) assert.match(warning, /EMFILE/);
      await until(`it is ready (${free} were free)`, step);
    }
  }),
);

describe("a process whose first load finds too few descriptors", () => {
  for (const free of [0, 1, 2, 5, 10, 14, 15, 20]) {
    test(`${free}: says so, and loads later`, () => {
      const main = fileURLToPath(FIRST_LOAD);
      const text = execFileSync(process.execPath, [main, String(free)], { encoding: "utf8" });
      const { first, next } = JSON.parse(text);
      assert.match(first, /EMFILE/);
      assert.equal(next, null);
    });
  }
});

test("without a free descriptor a store keeps nothing half received, and stays", async () => {
  await using store = await StoreProcess.start();
  const client = await store.connect();
  await client.put("before", [0]);
  const before = store.fdCount();
  for (let free = 0; free < 5; free++) {
    await leaveFreeFds(store.child.pid, free);
    const putting = (async () => {
      const other = await store.connect();
      await other.put("three", [0, 1, 2]);
      await other.drop("three");
      other.close();
    })();
    const settled = putting.catch(() => {});
    await sleep(300);
    freeFds(store.child.pid);
    await settled;
    await until("nothing stays open", async () => {
      for (const { name } of await client.list()) if (name === "three") await client.drop(name);
      return store.fdCount() <= before + 1; // the client of a refused put is still connected
    });
  }
  assert.equal(await client.drop("before"), 1);
});
