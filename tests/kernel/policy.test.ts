/**
 * observe, and changing policy while it is at work. Without a program is the control of all of it.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Migrate } from "../../loader/index.ts";
import { tally } from "../helpers/load/peer.ts";
import { kernelMigrations, migrationsSince } from "../helpers/net/netstat.ts";
import { runCli } from "../helpers/product/cli.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo, type State } from "../helpers/scene/stages.ts";
import { groupOf, migratingDecisions } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;

/** Closes the first of two listeners with connections in `state`; what became of them. */
async function close(s: Scene, state: State, migrate: Migrate | null) {
  const before = kernelMigrations();
  const old = await s.listener();
  if (migrate !== null) await (await s.sidecar({ migrate })).reconcile();
  const { peers, release } = await bringTo(state, COUNT, s);
  const next = await s.listener();
  await next.serve();
  await old.close();
  release();
  const result = await tally(peers);
  const served = result[String(next.process.pid)] ?? 0;
  return { served, reset: result["ECONNRESET"] ?? 0, counted: migrationsSince(before) };
}

describe("--migrate observe: what is lost today, counted", () => {
  for (const sysctl of [0, 1] as const) {
    for (const state of ["accept queue", "final ack"] as const) {
      test(
        `tcp_migrate_req ${sysctl}, ${state}: as without a program`,
        scene(async (s) => {
          s.sysctl("net.ipv4.tcp_migrate_req", sysctl);
          const without = await close(s, state, null);
          assert.deepEqual(
            [without.served, without.reset],
            sysctl ? [COUNT, 0] : [0, COUNT],
            "the kernel by itself",
          );
        }),
      );
      test(
        `tcp_migrate_req ${sysctl}, ${state}: the same, and counted`,
        scene(async (s) => {
          s.sysctl("net.ipv4.tcp_migrate_req", sysctl);
          const observed = await close(s, state, "observe");
          assert.deepEqual([observed.served, observed.reset], sysctl ? [COUNT, 0] : [0, COUNT]);
          const stage = state === "accept queue" ? "accept_queue" : "handshake_ack";
          const outcome = sysctl ? "kernel" : "dropped";
          assert.deepEqual(migratingDecisions(groupOf(s.port)), { [`${stage}/${outcome}`]: COUNT });
        }),
      );
    }
  }

  test(
    "the sysctl is followed",
    scene(async (s) => {
      s.sysctl("net.ipv4.tcp_migrate_req", 0);
      const first = await s.listener();
      const sidecar = await s.sidecar({ migrate: "observe" });
      const second = await s.listener();
      await sidecar.reconcile();
      s.sysctl("net.ipv4.tcp_migrate_req", 1);
      await sidecar.reconcile();
      const { peers } = await bringTo("accept queue", COUNT, s);
      const third = await s.listener();
      await third.serve();
      await first.close();
      await second.close();
      assert.deepEqual(await tally(peers), { [third.process.pid]: COUNT });
    }),
  );
});

describe("policy", () => {
  test(
    "from observe to newest and back: one command, no re-attach, at once",
    scene(async (s) => {
      s.sysctl("net.ipv4.tcp_migrate_req", 0);
      const first = await s.listener();
      await first.serve();
      const sidecar = await s.sidecar({ migrate: "observe" });
      const { programId } = groupOf(s.port);
      const last = await s.listener();
      await last.serve();
      for (const [migrate, lost] of [
        ["newest", 0],
        ["observe", COUNT],
        ["any", 0],
        ["off", COUNT],
      ] as const) {
        const run = await runCli(["policy", s.spec, "--migrate", migrate]);
        assert.equal(run.code, 0, run.stderr);
        assert.match(run.stdout, new RegExp(`migrate ${migrate}, route kernel, settings prefer`));
        assert.equal(groupOf(s.port).migrate, migrate);
        const closing = await s.listener();
        await sidecar.reconcile();
        for (const { process } of [first, last]) {
          await runCli(["drain", s.spec, "--pid", String(process.pid)]);
        }
        const { peers } = await bringTo("accept queue", COUNT, s);
        await runCli(["undrain", s.spec]);
        await closing.close();
        const result = await tally(peers);
        assert.equal(result["ECONNRESET"] ?? 0, lost, migrate);
      }
      assert.equal(groupOf(s.port).programId, programId);
      assert.equal(groupOf(s.port).attachments, 1);
    }),
  );

  test(
    "route newest steers from the next connection on, and back",
    scene(async (s) => {
      const old = await s.listener();
      await old.serve();
      await s.sidecar();
      await runCli(["policy", s.spec, "--route", "newest"]);
      assert.equal(groupOf(s.port).route, "newest");
      assert.deepEqual(await tally(await s.peers(COUNT)), { [old.process.pid]: COUNT });
    }),
  );

  test(
    "a held group must go on migrating; nothing attached, nothing to change: refused",
    scene(async (s) => {
      await s.listener();
      assert.equal((await runCli(["policy", s.spec, "--route", "newest"])).code, 4);
      assert.equal((await runCli(["policy", s.spec])).code, 2);
      await s.sidecar({ hold: { timeMs: 600_000, max: 100 } });
      const run = await runCli(["policy", s.spec, "--migrate", "observe"]);
      assert.equal(run.code, 7, run.stderr);
      assert.match(run.stderr, /has a standby/);
      assert.equal(groupOf(s.port).migrate, "newest");
    }),
  );

  test(
    "it is changed without a sidecar too",
    scene(async (s) => {
      await s.listener();
      await (await s.sidecar()).close({ keep: true });
      s.defer(() => runCli(["detach", "--all"]));
      const run = await runCli(["policy", s.spec, "--settings", "strict", "--json"]);
      assert.equal(JSON.parse(run.stdout).groups[0].settings, "strict");
      await until("it is pinned", () => groupOf(s.port).settings === "strict");
    }),
  );
});
