/** adopt: what stays, what goes and what is said when sidecars and servers come and go. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BpfMap } from "../../loader/bpf/map.ts";
import { obtain } from "../../loader/bpf/pin.ts";
import { LAYOUT } from "../../loader/core/abi.ts";
import {
  ABI_VERSION,
  ConflictError,
  parseSpec,
  readStatus,
  type Sidecar,
} from "../../loader/index.ts";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { pins } from "../helpers/host/fds.ts";
import { tally } from "../helpers/load/peer.ts";
import { runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { adopted, adopting, adopts } from "../helpers/scene/adopting.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { startOrdinary } from "../helpers/servers/ordinary_servers.ts";
import { attachExclusive } from "./exclusive_cgroup.ts";

const COUNT = 20;
const warnings = (s: Scene) => s.log.filter(({ level }) => level === "warn").map((e) => e.text);

async function attached(s: Scene, cgroup: TestCgroup, ...more: string[]): Promise<SidecarProcess> {
  const args = [`:${s.port}`, "--adopt", "--cgroup", cgroup.path, "--metrics", "off", ...more];
  const sidecar = await SidecarProcess.attach(...args);
  s.defer(() => sidecar[Symbol.asyncDispose]());
  return sidecar;
}

describe("an adoption", () => {
  for (const [what, which] of [
    ["detach SPEC", (s: Scene) => `:${s.port}`],
    ["detach --all", () => "--all"],
  ] as const) {
    test(
      `outlives a SIGKILL of the sidecar, ends with ${what}, also without any group`,
      scene(async (s) => {
        const app = new TestCgroup(s, "app").create();
        await (await attached(s, app)).kill();
        assert.equal(await adopts(s, app), true);
        const status = await runCli(["status", "--json"]);
        assert.deepEqual(JSON.parse(status.stdout).adoptions, [
          { cgroup: app.path, in_force: true, ports: [{ port: s.port, binds: 1, failed: 0 }] },
        ]);
        const metrics = await runCli(["metrics"]);
        const sample = `cgroup="${app.path}",port="${s.port}",result="set"} 1`;
        assert.ok(metrics.stdout.includes(`adopted_binds_total{${sample}`), metrics.stdout);
        const detach = await runCli(["detach", which(s)]);
        assert.equal(detach.code, 0, detach.stderr);
        assert.equal(detach.stdout, `stopped adopting port ${s.port} in cgroup ${app.path}\n`);
        assert.equal(await adopts(s, app), false);
        assert.deepEqual(pins(BPFFS), []);
        const again = await runCli(["detach", `:${s.port}`]);
        assert.equal(again.code, 4, again.stderr);
      }),
    );
  }

  test(
    "ends with SIGTERM, and stays with --keep and --once",
    scene(async (s) => {
      const app = new TestCgroup(s, "app").create();
      await (await attached(s, app)).stop();
      assert.equal(await adopts(s, app), false);
      await (await adopting(s, app)).close({ keep: true });
      assert.equal(await adopts(s, app), true);
      const command = [`:${s.port}`, "--adopt", "--cgroup", app.path];
      const once = await runCli(["attach", ...command, "--once"]);
      assert.equal(once.stdout, "ATTACHED groups=0 listeners=0\n", once.stderr);
      assert.equal(await adopts(s, app), true);
      await (await adopting(s, app)).close();
      assert.equal(await adopts(s, app), false);
    }),
  );

  test(
    "is made whole or not at all, wherever attach is killed",
    scene(async (s) => {
      const app = new TestCgroup(s, "app").create();
      const command = ["attach", `:${s.port}`, "--adopt", "--cgroup", app.path];
      for (let ms = 80; ms <= 400; ms += 20) {
        await runCli([...command, "--metrics", "off"], [], ms);
      }
      const attach = await runCli([...command, "--once"]);
      assert.equal(attach.code, 0, attach.stderr);
      assert.equal(await adopts(s, app), true);
      const detach = await runCli(["detach", `:${s.port}`]);
      assert.equal(detach.code, 0, detach.stderr);
      assert.equal(await adopts(s, app), false);
    }),
  );

  test(
    "of two services: detach of one leaves the other's port, and its sidecar alone",
    scene(async (s) => {
      const app = new TestCgroup(s, "app").create();
      const other = s.port + 5_000;
      const first = await adopting(s, app);
      await adopting(s, app, { specs: [parseSpec(`:${other}`)] });
      assert.deepEqual(adopted(), { [app.path]: { [s.port]: 0, [other]: 0 } });
      assert.equal(await adopts(s, app, other), true);
      const detach = await runCli(["detach", `:${s.port}`]);
      assert.equal(detach.code, 0, detach.stderr);
      assert.deepEqual(adopted(), { [app.path]: { [other]: 1 } });
      assert.equal(await adopts(s, app), false);
      await first.reconcile();
      await first.reconcile();
      assert.equal(s.log.filter(({ event }) => event === "detached_elsewhere").length, 1);
      await first.close();
      assert.equal(await adopts(s, app, other), true);
    }),
  );

  test(
    "is made where a group refuses, which is a warning",
    scene(async (s) => {
      const app = new TestCgroup(s, "app").create();
      const process = await s.process(app.under);
      const listener = await s.listener({}, process);
      await listener.filter();
      await adopting(s, app);
      assert.match(warnings(s).join(), /is not attached: .* already runs/);
      assert.equal(readStatus({ bpffs: BPFFS }).groups.length, 0);
      await process.exit();
      assert.equal(await adopts(s, app), true);
    }),
  );

  test(
    "is refused where a program allows no other, and the groups are given back",
    scene(async (s) => {
      const slice = new TestCgroup(s, "slice").create();
      const app = new TestCgroup(s, "app", slice.directory).create();
      await s.listener({}, await s.process(app.under));
      s.defer(attachExclusive(slice.directory));
      const refused = (error: Error) =>
        error instanceof ConflictError && /allows no other; detach that one/.test(error.message);
      await assert.rejects(() => adopting(s, app), refused);
      assert.deepEqual(pins(BPFFS), []);
    }),
  );

  test(
    "of another version is replaced, and its counts go on; any version's ports can be detached",
    scene(async (s) => {
      const app = new TestCgroup(s, "app").create();
      const age = async (sidecar: Sidecar) => {
        await sidecar.close({ keep: true });
        const name = pins(BPFFS).find((path) => path.endsWith("/adoption"));
        const map = new BpfMap(obtain(`${BPFFS}/${name}`));
        s.defer(() => map[Symbol.dispose]());
        const value = map.lookup(0) ?? Buffer.alloc(0);
        value.writeUInt32LE(ABI_VERSION + 1, LAYOUT.rm_adoption.members.abi_version);
        map.update(0, value);
        return map;
      };
      const before = await age(await adopting(s, app));
      assert.equal(await adopts(s, app), true);
      const next = await adopting(s, app);
      assert.equal(await adopts(s, app), true);
      assert.deepEqual(adopted(), { [app.path]: { [s.port]: 2 } });
      before.update(0, Buffer.alloc(before.shape.value)); // no program is left that reads it
      assert.equal(await adopts(s, app), true);
      await age(next);
      const detach = await runCli(["detach", `:${s.port}`]);
      assert.equal(detach.code, 0, detach.stderr);
      assert.equal(await adopts(s, app), false);
    }),
  );
});

describe("servers of an adopted cgroup", () => {
  for (const [migrate, why] of [
    ["newest", "loses nothing"],
    ["off", "negative control: handshakes are reset"],
  ] as const) {
    test(
      `one that runs already is reported, started again it is attached; its successor ${why}`,
      scene(async (s) => {
        const app = new TestCgroup(s, "app.service").create();
        const running = await startOrdinary(s, "echo", app.under);
        const sidecar = await adopting(s, app, { migrate });
        await sidecar.reconcile();
        assert.equal(warnings(s).length, 1, warnings(s).join("\n"));
        const says = `127\\.0\\.0\\.1:${s.port} of node \\(pid ${running.pid}\\) .*restart it \\('systemctl restart app\\.service'\\)`;
        assert.match(warnings(s)[0] ?? "", new RegExp(says));
        assert.equal((await sidecar.status()).groups.length, 0);

        await running.stop();
        const old = await startOrdinary(s, "echo", app.under);
        await sidecar.reconcile();
        assert.equal(groupOf(s.port).attached, true);
        const { peers, release } = await bringTo("final ack", COUNT, s);
        const next = await startOrdinary(s, "echo", app.under);
        await sidecar.reconcile();
        await old.stop();
        release();
        const whole = migrate === "newest" ? { [next.pid]: COUNT } : { ECONNRESET: COUNT };
        assert.deepEqual(await tally(peers), whole);
        assert.equal(warnings(s).length, 1, warnings(s).join("\n"));
      }),
    );
  }

  test(
    "that are too many are warned of once, with their pids",
    scene(async (s) => {
      const app = new TestCgroup(s, "app").create();
      const sidecar = await adopting(s, app, { max: 2 });
      const servers = [];
      for (let i = 0; i < 3; i++) {
        assert.deepEqual(warnings(s), []);
        servers.push(await startOrdinary(s, "echo", app.under));
        await sidecar.reconcile();
      }
      await sidecar.reconcile();
      assert.equal(warnings(s).length, 1, warnings(s).join("\n"));
      assert.match(warnings(s)[0] ?? "", /has 3 listeners.*started by mistake.*--adopt-max/);
      for (const { pid } of servers) assert.match(warnings(s)[0] ?? "", new RegExp(`\\b${pid}\\b`));
    }),
  );
});
