/** drain: no new connection from the next packet on, and then closing moves and loses nothing. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { START_GAP_MS } from "../../loader/core/generations.ts";
import { Child } from "../helpers/host/child.ts";
import { PYTHON } from "../helpers/host/script.ts";
import { lost } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { tally } from "../helpers/load/peer.ts";
import { tempDir } from "../helpers/net/netns.ts";
import { runCli } from "../helpers/product/cli.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { decisions, groupOf, listenerOf, migratingDecisions } from "../helpers/scene/status.ts";
import type { Listener } from "../helpers/servers/listener.ts";
import { ReloadingServer } from "../helpers/servers/reloading_server.ts";
import { until } from "../helpers/until.ts";

const COUNT = 100;

/** Two listeners, serving or not. */
async function two(s: Scene, serve = true): Promise<[Listener, Listener]> {
  const pair: [Listener, Listener] = [await s.listener(), await s.listener()];
  if (serve) for (const listener of pair) await listener.serve();
  return pair;
}

const drain = (s: Scene, ...args: string[]) => runCli(["drain", s.spec, ...args]);
const pidOf = ({ process }: Listener) => String(process.pid);

describe("drain", () => {
  test(
    "gives a listener no new connection, whoever names it how",
    scene(async (s) => {
      const [first, second] = await two(s);
      await s.sidecar();
      const shared = await tally(await s.peers(COUNT));
      assert.equal(Object.keys(shared).length, 2, "not drained: both get some");
      for (const by of [
        ["--pid", pidOf(first)],
        ["--listener", first.cookie],
      ]) {
        const run = await drain(s, ...by);
        assert.equal(run.code, 0, run.stderr);
        assert.deepEqual(await tally(await s.peers(COUNT)), { [pidOf(second)]: COUNT });
        assert.equal(listenerOf(groupOf(s.port), first.cookie).role, "draining");
        assert.equal((await runCli(["undrain", s.spec])).code, 0);
        assert.equal(Object.keys(await tally(await s.peers(COUNT))).length, 2);
      }
    }),
  );

  test(
    "--pid of a process that shares its listener: that is said, with the other process",
    scene(async (s) => {
      const script = [
        "import os, socket, time",
        "s = socket.socket(); s.setsockopt(1, 15, 1)",
        `s.bind(("${s.address}", ${s.port})); s.listen()`,
        "r, w = os.pipe()",
        "pid = os.fork()",
        "if pid == 0: os.close(w); os.read(r, 1); os._exit(0)",
        "print(pid, flush=True); time.sleep(600)",
      ].join("\n");
      const old = new Child(PYTHON, ["-c", script], tempDir(s).file("log"));
      s.defer(() => old.stop());
      await until("it listens", () => old.output() !== "");
      const alone = await s.listener();
      await s.sidecar();
      const child = old.output().trim();
      const run = await drain(s, "--pid", String(old.pid));
      assert.equal(run.code, 0, run.stderr);
      assert.match(run.stderr, new RegExp(`pid ${child} also holds ${s.spec} slot \\d+`));
      assert.match(
        run.stdout,
        new RegExp(`pid (${old.pid} and ${child}|${child} and ${old.pid}):`),
      );
      await runCli(["undrain", s.spec]);
      const quiet = await drain(s, "--pid", pidOf(alone));
      assert.equal(quiet.code, 0, quiet.stderr);
      assert.equal(quiet.stderr, "", "no other process holds that one");
    }),
  );

  test(
    "--wait: until nothing is left; then closing moves nothing",
    scene(async (s) => {
      const [first, second] = await two(s, false);
      await s.sidecar();
      const peers = await s.peers(COUNT);
      const early = await drain(s, "--pid", pidOf(first), "--wait", "--timeout", "100ms");
      assert.equal(early.code, 1, "it does not accept");
      assert.match(early.stdout, /not empty .* \d+ queued/);
      const waiting = drain(s, "--pid", pidOf(first), "--wait", "--json");
      await first.serve();
      await second.serve();
      const run = await waiting;
      assert.equal(run.code, 0, run.stdout);
      await first.close();
      assert.equal((await tally(peers))["ECONNRESET"], undefined);
      assert.deepEqual(migratingDecisions(groupOf(s.port)), {});
    }),
  );

  test(
    "not the last target, unless forced: then clients are refused, or held",
    scene(async (s) => {
      const only = await s.listener();
      await only.serve();
      const sidecar = await s.sidecar();
      const run = await drain(s, "--pid", pidOf(only));
      assert.equal(run.code, 7, run.stderr);
      assert.match(run.stderr, /no target left/);
      assert.deepEqual(await tally(await s.peers(5)), { [pidOf(only)]: 5 });
      assert.equal((await drain(s, "--pid", pidOf(only), "--force")).code, 0);
      assert.deepEqual(await tally(await s.peers(5)), { ECONNREFUSED: 5 });
      assert.equal(decisions(groupOf(s.port))["syn/dropped"], 5);
      await sidecar.reconcile();
      await runCli(["undrain", s.spec]);
      assert.deepEqual(await tally(await s.peers(5)), { [pidOf(only)]: 5 });
    }),
  );

  test(
    "survives the sidecar, and a drained owner that exits leaves nothing behind",
    scene(async (s) => {
      const [first, second] = await two(s);
      const sidecar = await s.sidecar();
      await drain(s, "--pid", pidOf(first));
      await sidecar.close({ keep: true });
      s.defer(() => runCli(["detach", "--all"]));
      assert.deepEqual(await tally(await s.peers(COUNT)), { [pidOf(second)]: COUNT });
      const next = await s.sidecar();
      assert.equal(listenerOf(groupOf(s.port), first.cookie).role, "draining");
      assert.deepEqual(await tally(await s.peers(COUNT)), { [pidOf(second)]: COUNT });
      await first.process.exit();
      await next.reconcile();
      const third = await s.listener();
      await third.serve();
      await next.reconcile();
      assert.equal(Object.keys(await tally(await s.peers(COUNT))).length, 2);
      assert.ok((decisions(groupOf(s.port))["syn/kernel"] ?? 0) > 0, "the kernel's spread again");
    }),
  );

  test(
    "--stuck: a queue that does not move is emptied from outside",
    scene(async (s) => {
      const [first, second] = await two(s, false);
      await s.sidecar();
      const peers = await s.peers(COUNT);
      await second.serve();
      assert.equal((await drain(s, "--pid", pidOf(first), "--stuck")).code, 2, "requires --yes");
      const run = await drain(s, "--pid", pidOf(first), "--stuck", "--yes", "--wait");
      assert.equal(run.code, 0, run.stderr);
      assert.deepEqual(await tally(peers), { [pidOf(second)]: COUNT });
    }),
  );

  test(
    "wrong usage",
    scene(async (s) => {
      for (const args of [
        [],
        ["--pid", "1", "--generation", "1"],
        ["--listener", "x"],
        ["--pid", "0"],
        ["--pid", "1", "--timeout", "1s"],
        ["--pid", "1", "--yes"],
      ]) {
        assert.equal((await drain(s, ...args)).code, 2, args.join(" "));
      }
      assert.equal((await drain(s, "--pid", "1")).code, 4, "nothing is attached");
    }),
  );
});

test(
  "under load: zero new SYNs for the drained one, and then nothing is lost or moved by closing it",
  scene(async (s) => {
    using server = await ReloadingServer.start({ port: s.port, listeners: 2 });
    const sidecar = await s.sidecar();
    using load = await LoadClient.start({
      port: s.port,
      rate: 300,
      concurrency: 50,
      limit: 100_000,
    });
    await sleep(START_GAP_MS + 100); // a generation of its own
    await server.reload("open");
    await sidecar.reconcile();
    const generations = groupOf(s.port).listeners.map(({ generation }) => generation ?? 0);
    const oldest = Math.min(...generations);
    const run = await drain(s, "--generation", String(oldest), "--wait");
    assert.equal(run.code, 0, run.stderr + run.stdout);
    const syn = () => groupOf(s.port).listeners.filter(({ generation }) => generation === oldest);
    for (let i = 0; i < 20; i++) {
      assert.ok(syn().every(({ queueLength, halfOpen }) => queueLength + halfOpen === 0));
    }
    await server.reload("close");
    const result = await load.stop();
    assert.ok(result.ok > 0);
    assert.equal(lost(result), 0);
    assert.deepEqual(migratingDecisions(groupOf(s.port)), {});
  }),
);
