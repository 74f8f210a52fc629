/**
 * What became of the connections that were held: each is counted once, as handed over or as reset,
 * and a reset is said and is lost. Each test shows by the clients that the numbers are true.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseSpec, type Sidecar } from "../../loader/index.ts";
import { tally } from "../helpers/load/peer.ts";
import { halfOpen, queued } from "../helpers/net/netstat.ts";
import { runCli } from "../helpers/product/cli.ts";
import { runJson } from "../helpers/product/run_json.ts";
import { SidecarProcess, total } from "../helpers/product/sidecar.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

const COUNT = 5;
const HOLD = { timeMs: 600_000, max: 100 };

const became = (s: Scene) => groupOf(s.port).holds.connections;

/** What the log says of the end of holds: `warn the sidecar ends: 5 held connections were reset`. */
const ends = (s: Scene) =>
  s.log
    .filter(({ event }) => event === "hold_ended")
    .map(({ level, text }) => `${level} ${text.replace(`${s.spec}: `, "")}`);

/** A sidecar whose standby holds connections: the last listener has left. */
async function holding(s: Scene, timeMs = HOLD.timeMs) {
  const listener = await s.listener();
  const sidecar = await s.sidecar({ hold: { ...HOLD, timeMs } });
  await listener.close();
  const peers = await s.peers(COUNT);
  await until("all are queued", () => queued(s.port) === COUNT);
  await sidecar.reconcile();
  return { sidecar, peers };
}

async function expire(s: Scene, sidecar: Sidecar): Promise<void> {
  const isOver = async () => {
    await sidecar.reconcile();
    return groupOf(s.port).holds.expired === 1;
  };
  await until("it expires", isOver, 20);
}

describe("connections that were held", () => {
  test(
    "and are handed over are not reset",
    scene(async (s) => {
      const { sidecar, peers } = await holding(s);
      const next = await s.listener();
      await next.serve();
      await sidecar.reconcile();
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      assert.deepEqual(became(s), { handed_over: COUNT, reset: 0 });
      const [said = "", ...more] = ends(s);
      assert.match(said, /^info the hold ended after .* s: 5 held connections were handed over$/);
      assert.deepEqual(more, []);
    }),
  );

  test(
    "until the hold expired are reset: a warning, and a count",
    scene(async (s) => {
      const { sidecar, peers } = await holding(s, 1_000);
      await expire(s, sidecar);
      assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
      assert.deepEqual(became(s), { handed_over: 0, reset: COUNT });
      assert.deepEqual(ends(s), [
        "warn no server came back within 1s: 5 held connections were reset",
      ]);
    }),
  );

  test(
    "half-open ones are lost with the others",
    scene(async (s) => {
      const { sidecar, peers } = await holding(s, 2_000);
      const release = s.hold();
      const handshakes = await s.peers(COUNT);
      await until("they are half open", () => halfOpen(s.port) === COUNT);
      await expire(s, sidecar);
      release();
      assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
      const lost = Object.keys(await tally(handshakes));
      assert.ok(lost.length > 0 && lost.every((how) => /^E[A-Z]+$/.test(how)), lost.join());
      assert.deepEqual(became(s), { handed_over: 0, reset: 2 * COUNT });
    }),
  );

  test(
    "none: nothing to warn of",
    scene(async (s) => {
      const listener = await s.listener();
      const sidecar = await s.sidecar({ hold: { ...HOLD, timeMs: 300 } });
      await listener.close();
      await sidecar.reconcile();
      await expire(s, sidecar);
      assert.deepEqual(ends(s), ["info no server came back within 0.3s: no connection was held"]);
    }),
  );

  test(
    "until the sidecar ended are reset: a warning",
    scene(async (s) => {
      const { sidecar, peers } = await holding(s);
      await sidecar.close();
      assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
      assert.deepEqual(ends(s), ["warn the group is detached: 5 held connections were reset"]);
    }),
  );

  test(
    "until a reload took the hold away are reset: a warning, and the count stays",
    scene(async (s) => {
      const { sidecar, peers } = await holding(s);
      const specs = [parseSpec(s.spec)];
      await sidecar.reload([{ specs, migrate: "newest", route: "kernel", wait: true }]);
      assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
      assert.deepEqual(ends(s), [
        "warn the policy has no hold any longer: 5 held connections were reset",
      ]);
      assert.deepEqual(became(s), { handed_over: 0, reset: COUNT });
    }),
  );

  test(
    "until a server on a wider address came are reset: a warning, and the count stays",
    scene(async (s) => {
      const { sidecar, peers } = await holding(s);
      const wider = await s.listener({ address: "0.0.0.0" });
      await sidecar.reconcile();
      assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
      const [said = "", ...more] = ends(s);
      const { pid } = wider.process;
      assert.match(
        said,
        new RegExp(`^warn no standby while 0\\.0\\.0\\.0:.* \\(pid ${pid}\\) listens`),
      );
      assert.match(said, /: 5 held connections were reset$/);
      assert.deepEqual(more, []);
      assert.deepEqual(became(s), { handed_over: 0, reset: COUNT });
      assert.equal(groupOf(s.port).holds.released, 1);
    }),
  );
});

describe("a command that ends a hold, and the sidecar, say the same number", () => {
  for (const [command, text] of [
    ["release", /info .*: released after .* s: 5 held connections were reset$/m],
    ["detach", /warn .*: another command ended the standby: 5 held connections were reset$/m],
  ] as const) {
    test(
      command,
      scene(async (s) => {
        const listener = await s.listener();
        await using sidecar = await SidecarProcess.attach(s.spec, "--hold", "60s", "--wait");
        await listener.close();
        const peers = await s.peers(COUNT);
        await until("all are queued", () => queued(s.port) === COUNT);
        const run = await runCli([command, s.spec]);
        assert.equal(run.code, 0, run.stderr);
        assert.match(run.stdout, /: 5 held connections were reset$/m);
        assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
        await until("the sidecar says it", () => text.test(sidecar.output()));
        assert.equal(sidecar.output().match(/held connection/g)?.length, 1, sidecar.output());
        if (command === "release") assert.deepEqual(became(s), { handed_over: 0, reset: COUNT });
        await sidecar.stop();
      }),
    );
  }
});

test(
  "/metrics has the counts, also after the sidecar was killed",
  scene(async (s) => {
    const listener = await s.listener();
    await using sidecar = await SidecarProcess.attach(s.spec, "--hold", "300ms", "--wait");
    const metric = "reuseport_migrate_held_connections_total";
    await listener.close();
    const peers = await s.peers(COUNT);
    assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
    const reset = async () => total(await sidecar.metrics(), metric, 'result="reset"');
    await until("it is counted", async () => (await reset()) === COUNT);
    const next = await s.listener();
    await sidecar.kill();
    await sidecar.start();
    assert.equal(await reset(), COUNT);
    assert.equal(total(await sidecar.metrics(), metric), COUNT);
    await next.close();
    await sidecar.stop();
  }),
);

test(
  "run: those that are reset while the command runs are lost",
  scene(async (s) => {
    const listener = await s.listener();
    await using sidecar = await SidecarProcess.attach(s.spec, "--hold", "1s", "--wait");
    const { pid } = listener.process;
    const peers = await s.peers(COUNT);
    await until("all are queued", () => queued(s.port) === COUNT);
    const { outcome, group } = await runJson([s.spec], ["kill", "-KILL", String(pid)]);
    assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
    assert.deepEqual([outcome.exit_code, outcome.lost, outcome.moved], [3, COUNT, 0]);
    assert.equal(group.reset, COUNT);
    await sidecar.stop();
  }),
);
