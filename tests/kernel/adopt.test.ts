/** adopt: servers that do not set SO_REUSEPORT share their port, in one cgroup and on one port. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { runCli } from "../helpers/product/cli.ts";
import { adopted, adopting, reuseports } from "../helpers/scene/adopting.ts";
import { scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { type Ordinary, startOrdinary } from "../helpers/servers/ordinary_servers.ts";
import { until } from "../helpers/until.ts";

const servers: [kind: Ordinary, host: string][] = [
  ["node:http", "127.0.0.1"],
  ["node:http", "::1"],
  ["node:http", "::"],
  ["python http.server", "127.0.0.1"],
  ["python http.server", "::"],
  ["python asyncio", "127.0.0.1"],
];

describe("an ordinary server and its successor", () => {
  for (const [kind, host] of servers) {
    test(
      `${kind} on ${host}: share the port, which they cannot without`,
      scene(async (s) => {
        const cgroup = new TestCgroup(s, "app").create();
        const start = () => startOrdinary(s, kind, cgroup.under, { host });
        const alone = await start();
        assert.equal(alone.listens, true);
        assert.equal((await start()).listens, false);
        assert.deepEqual(reuseports(s.port), { [alone.pid]: false });
        await alone.stop();

        await adopting(s, cgroup);
        const [first, next] = [await start(), await start()];
        assert.equal(first.listens && next.listens, true);
        assert.deepEqual(reuseports(s.port), { [first.pid]: true, [next.pid]: true });
        assert.deepEqual(adopted(), { [cgroup.path]: { [s.port]: 2 } });
      }),
    );
  }

  test(
    "of another user: cannot share it",
    scene(async (s) => {
      const cgroup = new TestCgroup(s, "app").create();
      await adopting(s, cgroup);
      // The checkout may be one that only root can read.
      const read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
      const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...read];
      assert.equal((await startOrdinary(s, "echo", cgroup.under)).listens, true);
      const next = await startOrdinary(s, "echo", [...cgroup.under, ...nobody]);
      assert.equal(next.listens, false);
      assert.deepEqual(adopted(), { [cgroup.path]: { [s.port]: 2 } });
    }),
  );

  test(
    "with MPTCP: share it, and are covered",
    scene(async (s) => {
      const cgroup = new TestCgroup(s, "app").create();
      const sidecar = await adopting(s, cgroup);
      const process = await s.process(cgroup.under);
      for (let i = 0; i < 2; i++) await s.listener({ reuseport: false, mptcp: true }, process);
      assert.deepEqual(adopted(), { [cgroup.path]: { [s.port]: 2 } });
      await sidecar.reconcile();
      const { attached, listeners } = groupOf(s.port);
      assert.deepEqual([attached, listeners.length], [true, 2]);
    }),
  );
});

describe("untouched", () => {
  test(
    "another port, a process outside of the cgroup, and cgroups beside it",
    scene(async (s) => {
      const app = new TestCgroup(s, "app").create();
      const others = ["app2", "ap"].map((name) => new TestCgroup(s, name).create());
      await adopting(s, app);
      const outside = await startOrdinary(s, "echo");
      assert.deepEqual(reuseports(s.port), { [outside.pid]: false });
      await outside.stop();
      for (const { under } of others) {
        const beside = await startOrdinary(s, "echo", under);
        assert.deepEqual(reuseports(s.port), { [beside.pid]: false });
        await beside.stop();
      }
      const port = s.port + 5_000;
      const other = await startOrdinary(s, "echo", app.under, { port });
      assert.deepEqual(reuseports(port), { [other.pid]: false });
      assert.deepEqual(adopted(), { [app.path]: { [s.port]: 0 } });
    }),
  );

  test(
    "but what is below it is in it",
    scene(async (s) => {
      const app = new TestCgroup(s, "app").create();
      const below = new TestCgroup(s, "worker", app.directory).create();
      const sibling = new TestCgroup(s, "sibling").create();
      const namesake = new TestCgroup(s, "app", sibling.directory).create();
      await adopting(s, app);
      const apart = await startOrdinary(s, "echo", namesake.under);
      assert.deepEqual(reuseports(s.port), { [apart.pid]: false });
      await apart.stop();
      const server = await startOrdinary(s, "echo", below.under);
      assert.deepEqual(reuseports(s.port), { [server.pid]: true });
    }),
  );
});

describe("a cgroup", () => {
  test(
    "that does not exist yet, comes, goes and comes back is adopted all the time",
    scene(async (s) => {
      const app = new TestCgroup(s, "app");
      await adopting(s, app);
      for (const binds of [1, 2, 3]) {
        app.create();
        const server = await startOrdinary(s, "echo", app.under);
        assert.deepEqual(reuseports(s.port), { [server.pid]: true });
        assert.deepEqual(adopted(), { [app.path]: { [s.port]: binds } });
        await server.stop();
        await app.remove();
      }
    }),
  );

  test(
    "whose parent goes is adopted again when that is back, with its counts",
    scene(async (s) => {
      const slice = new TestCgroup(s, "slice").create();
      const app = new TestCgroup(s, "app", slice.directory).create();
      const sidecar = await adopting(s, app);
      await (await startOrdinary(s, "echo", app.under)).stop();
      await app.remove();
      await slice.remove();
      const warnings = () => s.log.filter(({ level }) => level === "warn").map(({ text }) => text);
      await until("that is noticed", async () => {
        await sidecar.reconcile();
        return warnings().length > 0;
      });
      await sidecar.reconcile();
      assert.equal(warnings().length, 1, warnings().join("\n"));
      assert.match(warnings()[0] ?? "", /cannot be adopted: its parent .*slice does not exist/);
      const status = await runCli(["status"]);
      assert.match(status.stdout, /not in force: its parent cgroup was removed; attach again/);

      slice.create();
      app.create();
      await sidecar.reconcile();
      const server = await startOrdinary(s, "echo", app.under);
      assert.deepEqual(reuseports(s.port), { [server.pid]: true });
      assert.deepEqual(adopted(), { [app.path]: { [s.port]: 2 } });
    }),
  );

  test(
    "that is the root, of a cgroup namespace here: everybody is in it",
    scene(async (s) => {
      const mount = (process.env["SANDBOX_CGROUP"] ?? "").replace(/\/[^/]*$/, "");
      const script = `umount -l ${mount}; mount -t cgroup2 none ${mount}; exec "$@"`;
      const unshare = ["unshare", "--cgroup", "--mount", "--propagation", "private"];
      const contained = [...unshare, "sh", "-ec", script, "sh"];
      const args = ["attach", `:${s.port}`, "--adopt", "--cgroup", "/", "--once"];
      const attach = await runCli(args, contained);
      assert.equal(attach.code, 0, attach.stderr);
      const server = await startOrdinary(s, "echo");
      assert.deepEqual(reuseports(s.port), { [server.pid]: true });
      assert.deepEqual(adopted(), { "/": { [s.port]: 1 } });
      const detach = await runCli(["detach", "--all"]);
      assert.equal(detach.code, 0, detach.stderr);
    }),
  );
});
