/** Sidecars, listeners and groups come and go; what is pinned carries on. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { describe, test } from "node:test";
import { NoMatchError } from "../../loader/errors.ts";
import { bpf_prog_get_fd_by_id } from "../../loader/sys/libbpf.ts";
import { close } from "../../loader/sys/libc.ts";
import { tally } from "../helpers/load/peer.ts";
import { runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { decisions, groupOf, listenerOf, migratingDecisions } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;
const knows = (s: Scene, cookie: string) =>
  until("the new listener is a target", () => {
    const found = groupOf(s.port).listeners.find((l) => String(l.cookie) === cookie);
    return found !== undefined && found.role === "target" && found.slot !== null;
  });

async function attached(s: Scene, ...options: string[]): Promise<SidecarProcess> {
  const sidecar = await SidecarProcess.attach(s.spec, "--metrics", "off", ...options);
  s.defer(() => sidecar[Symbol.asyncDispose]());
  return sidecar;
}

function isLoaded(programId: number): boolean {
  const fd = bpf_prog_get_fd_by_id(programId);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

describe("a sidecar killed with SIGKILL", () => {
  test(
    "migration goes on, detach --all removes everything",
    scene(async (s) => {
      const old = await s.listener();
      const next = await s.listener();
      const sidecar = await attached(s);
      await sidecar.kill();
      const { peers } = await bringTo("accept queue", COUNT, s);
      const onOld = groupOf(s.port).listeners.find((l) => String(l.cookie) === old.cookie);
      await next.serve();
      await old.leave("SIGKILL");
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), {
        "accept_queue/selected": onOld?.queueLength,
      });

      const { programId } = groupOf(s.port);
      assert.equal(isLoaded(programId), true);
      const detach = await runCli(["detach", "--all"]);
      assert.equal(detach.code, 0, detach.stderr);
      assert.equal(existsSync(`${BPFFS}/reuseport-migrate`), false);
      await until("the program is unloaded", () => !isLoaded(programId));
      assert.deepEqual(await tally(await s.peers(COUNT)), { [next.process.pid]: COUNT });
      const last = await s.listener();
      const waiting = await bringTo("final ack", COUNT, s);
      await next.process.kill();
      await last.process.kill();
      waiting.release();
      assert.deepEqual(await tally(waiting.peers), { ECONNRESET: COUNT });
    }),
  );

  test(
    "a listener that opens meanwhile is covered by the kernel's hash, and that is counted",
    scene(async (s) => {
      const old = await s.listener();
      const sidecar = await attached(s);
      await sidecar.kill();
      const { peers } = await bringTo("accept queue", COUNT, s);
      const next = await s.listener();
      await next.serve();
      await old.close();
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), {
        "accept_queue/fallback/no_target": COUNT,
      });
    }),
  );

  test(
    "counters survive, and the next sidecar adopts them",
    scene(async (s) => {
      const old = await s.listener();
      const sidecar = await attached(s);
      const { peers } = await bringTo("accept queue", COUNT, s);
      const next = await s.listener();
      await next.serve();
      await knows(s, next.cookie);
      await old.close();
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      const before = decisions(groupOf(s.port));
      const { programId, attachments } = groupOf(s.port);
      await sidecar.kill();

      const adopter = await s.sidecar();
      assert.deepEqual(decisions(groupOf(s.port)), before);
      assert.equal(groupOf(s.port).programId, programId);
      assert.equal(groupOf(s.port).attachments, attachments);
      await adopter.close({ keep: true });
      assert.deepEqual(decisions(groupOf(s.port)), before);
      await (await s.sidecar()).close({ keep: false });
    }),
  );
});

describe("a sidecar's priority", () => {
  /** Whether this host lets us have a higher one. */
  const mayHurry = spawnSync("nice", ["-n", "-10", "true"], { encoding: "utf8" }).stderr === "";

  test(
    "is above that of others, as far as is permitted",
    scene(async (s) => {
      await s.listener();
      const sidecar = await attached(s);
      assert.equal(getPriority(sidecar.pid), mayHurry ? -10 : 0);
      await sidecar.stop();
    }),
  );

  test(
    "is left alone where somebody has set one",
    scene(async (s) => {
      await s.listener();
      setPriority(5);
      s.defer(() => mayHurry && setPriority(0));
      const sidecar = await attached(s);
      assert.equal(getPriority(sidecar.pid), 5);
      await sidecar.stop();
    }),
  );
});

describe("a sidecar killed before its last listener leaves", () => {
  const hold = { timeMs: 600_000, max: 64 };

  /** A sidecar that is killed, and then the server stops: nobody has seen it. */
  async function leaveUnseen(s: Scene, ...args: string[]): Promise<void> {
    const last = await s.listener();
    const sidecar = await attached(s, ...args);
    await sidecar.kill();
    await last.close();
  }

  test(
    "the next one holds until the server is back",
    scene(async (s) => {
      await leaveUnseen(s, "--hold", "60s");
      const before = await s.peers(COUNT); // no sidecar runs: the keeper has its standby
      const sidecar = await s.sidecar({ hold });
      assert.equal(groupOf(s.port).hold?.holding, true);
      const peers = await s.peers(COUNT);
      const next = await s.listener();
      await next.serve();
      await sidecar.reconcile();
      assert.deepEqual(await tally(before), { [next.process.pid]: COUNT });
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      const { started, handed_over } = groupOf(s.port).holds;
      assert.deepEqual([started, handed_over], [1, 1]);
    }),
  );

  test(
    "but not where the one before was to hold nothing",
    scene(async (s) => {
      await leaveUnseen(s);
      assert.deepEqual(await tally(await s.peers(COUNT)), { ECONNREFUSED: COUNT });
      await assert.rejects(() => s.sidecar({ hold }), NoMatchError);
    }),
  );
});

describe("listeners", () => {
  test(
    "a new one becomes a target by itself",
    scene(async (s) => {
      const old = await s.listener();
      (await s.sidecar()).watch();
      const next = await s.listener();
      await knows(s, next.cookie);
      // Without a warning that there are no bind events, it was they that told of it.
      const warnings = s.log.filter(({ level }) => level !== "info");
      if (process.env["SANDBOX_CGROUP"]) assert.deepEqual(warnings, []);
      const { peers } = await bringTo("accept queue", COUNT, s);
      const queue = listenerOf(groupOf(s.port), old.cookie).queueLength;
      await old.close();
      await next.serve();
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), { "accept_queue/selected": queue });
    }),
  );

  test(
    "one that was shut down and listens again is a target again",
    scene(async (s) => {
      const phoenix = await s.listener();
      const other = await s.listener();
      const sidecar = await s.sidecar();
      await phoenix.shutdown();
      await sidecar.reconcile();
      assert.equal(
        groupOf(s.port).listeners.some((l) => String(l.cookie) === phoenix.cookie),
        false,
      );
      const { peers } = await bringTo("accept queue", COUNT, s);
      await phoenix.listen();
      await phoenix.serve();
      await sidecar.reconcile();
      await knows(s, phoenix.cookie);
      await other.close();
      assert.deepEqual(await tally(peers), { [phoenix.process.pid]: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), { "accept_queue/selected": COUNT });
    }),
  );

  test(
    "no count goes backwards when one listens again",
    scene(async (s) => {
      const phoenix = await s.listener();
      const sidecar = await s.sidecar();
      await bringTo("accept queue", COUNT, s);
      await s.listener();
      await sidecar.reconcile();
      await phoenix.shutdown();
      await sidecar.reconcile();
      assert.equal(groupOf(s.port).closed.out, COUNT);
      await phoenix.listen();
      await sidecar.reconcile();
      assert.equal(groupOf(s.port).closed.out, COUNT);
    }),
  );
});
