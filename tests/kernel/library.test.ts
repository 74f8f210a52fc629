/** The library: attach() and status() in this process, as an embedder imports them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { attach, ConflictError, NoMatchError, type SidecarEvent, status } from "reuseport-migrate";
import { tally } from "../helpers/load/peer.ts";
import { runCli } from "../helpers/product/cli.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;

/** Returns how many of COUNT queued connections survive the close of the older of two listeners. */
async function survivors(s: Scene, beforeClose: () => Promise<void>): Promise<number> {
  const old = await s.listener();
  const peers = await s.peers(COUNT);
  const next = await s.listener();
  await beforeClose();
  await next.serve();
  await old.close();
  return (await tally(peers))[next.process.pid] ?? 0;
}

test(
  "without attach() the queue of a closed listener is lost",
  scene(async (s) => assert.equal(await survivors(s, async () => {}), 0)),
);

test(
  "attach() migrates it and logs it; status is what `status --json` prints",
  scene(async (s) => {
    const log: SidecarEvent[] = [];
    const count = await survivors(s, async () => {
      const guard = await attach(s.spec, { log: (event) => log.push(event) });
      s.defer(() => guard.close());
      const own = await guard.status();
      assert.equal(own.groups[0]?.sidecar_pid, process.pid);
      const { groups } = await status({ specs: [s.spec] });
      const printed = JSON.parse((await runCli(["status", s.spec, "--json"])).stdout);
      assert.deepEqual(groups, printed.groups);
      assert.deepEqual((await status({ specs: ":1" })).unattached, [":1"]);
    });
    assert.equal(count, COUNT);
    assert.ok(log.some(({ event }) => event === "attached"));
    await until("the log has the move", () => log.some(({ event }) => event === "moved"));
  }),
);

test(
  "close({ keep: true }) leaves the program in force, and a later attach() takes over",
  scene(async (s) => {
    await s.listener();
    const first = await attach(s.spec);
    await first.close({ keep: true });
    const [left] = (await status()).groups;
    assert.deepEqual([left?.attached, left?.sidecar_pid], [true, null]);
    await using second = await attach([s.spec]);
    const [again] = (await second.status()).groups;
    assert.equal(again?.program_id, left?.program_id);
    await assert.rejects(first.status(), /not running/);
  }),
);

test(
  "ended resolves when another command detaches the last group",
  scene(async (s) => {
    await s.listener();
    const guard = await attach(s.spec);
    assert.equal((await runCli(["detach", "--all"])).code, 0);
    await guard.ended;
    await guard.close();
  }),
);

test(
  "refusals are the exported classes",
  scene(async (s) => {
    await assert.rejects(attach(s.spec), NoMatchError);
    await s.listener();
    await using _guard = await attach(s.spec);
    await assert.rejects(attach(s.spec), ConflictError);
  }),
);
