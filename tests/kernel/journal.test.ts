/** The sidecar's log of what it did not do itself: migrations, and changes by other commands. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { changePolicy, drain, parseSpec, undrain } from "../../loader/index.ts";
import { tally } from "../helpers/load/peer.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { until } from "../helpers/until.ts";

const COUNT = 5;

/** Waits until the log has this sentence about the scene's group. */
async function logged(s: Scene, sentence: string): Promise<void> {
  // Which generation a listener is of depends on the time since the one before.
  const text = `${s.spec}: ${sentence}`;
  const said = () => s.log.map((event) => event.text.replace(/ ?\(?generation \d\)?/, ""));
  await until(text, () => said().includes(text)).catch((error) => {
    throw new Error(`${error.message}; it is:\n${s.log.map((event) => event.text).join("\n")}`);
  });
}

/** Waits until the log tells of so many, in one sentence or in several (a look falls in between). */
async function moved(s: Scene, count: number, what: string, way: string): Promise<void> {
  const sum = () =>
    s.log
      .map((event) => event.text.replace(/ ?\(?generation \d\)?/, ""))
      .map((text) => /^(.*): (\d+) (.*?)s? moved (.*)$/.exec(text) ?? [])
      .filter(([, spec, , its, from]) => spec === s.spec && its === what && from === way)
      .reduce((total, [, , counted]) => total + Number(counted), 0);
  await until(`${count} ${what}s moved ${way}`, () => sum() === count).catch((error) => {
    throw new Error(`${error.message}; it is:\n${s.log.map((event) => event.text).join("\n")}`);
  });
}

describe("connections that migrate", () => {
  test(
    "from an accept queue: how many, from whom, to whom",
    scene(async (s) => {
      const old = await s.listener();
      const sidecar = await s.sidecar();
      sidecar.watch();
      const { peers } = await bringTo("accept queue", COUNT, s);
      const next = await s.listener();
      await next.serve();
      await sidecar.reconcile();
      await old.process.kill();
      const [from, to] = [old.process.pid, next.process.pid];
      await moved(s, COUNT, "waiting connection", `from pid ${from} to pid ${to}`);
      assert.deepEqual(await tally(peers), { [to]: COUNT });
      const events = s.log.filter(({ event }) => event === "moved").map(({ fields }) => fields);
      const total = (name: string) => events.reduce((sum, it) => sum + Number(it?.[name]), 0);
      assert.deepEqual([total("accept_queue"), total("dropped")], [COUNT, 0]);
    }),
  );

  test(
    "as handshakes, later than their listener closed",
    scene(async (s) => {
      const old = await s.listener();
      const sidecar = await s.sidecar();
      sidecar.watch();
      const { peers, release } = await bringTo("timer", COUNT, s);
      const next = await s.listener();
      await next.serve();
      await sidecar.reconcile();
      await old.process.kill();
      const [from, to] = [old.process.pid, next.process.pid];
      await moved(s, COUNT, "handshake", `from pid ${from} to pid ${to}`);
      release();
      assert.deepEqual(await tally(peers), { [to]: COUNT });
    }),
  );

  test(
    "to the standby, and from it to the next server",
    scene(async (s) => {
      const old = await s.listener();
      const sidecar = await s.sidecar({ hold: { timeMs: 600_000, max: 100 } });
      sidecar.watch();
      const { peers } = await bringTo("accept queue", COUNT, s);
      await old.process.kill();
      const from = `from pid ${old.process.pid} to the standby`;
      await moved(s, COUNT, "waiting connection", from);
      const next = await s.listener();
      await next.serve();
      const { pid } = next.process;
      await moved(s, COUNT, "waiting connection", `from the standby to pid ${pid}`);
      assert.deepEqual(await tally(peers), { [pid]: COUNT });
    }),
  );

  test(
    "or are dropped by the policy",
    scene(async (s) => {
      const old = await s.listener();
      const sidecar = await s.sidecar({ migrate: "off" });
      sidecar.watch();
      const { peers } = await bringTo("accept queue", COUNT, s);
      await s.listener();
      await sidecar.reconcile();
      await old.process.kill();
      await logged(s, `dropped by policy (migrate off): ${COUNT} connections`);
      assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
    }),
  );
});

describe("another command", () => {
  test(
    "changes the policy, drains and undrains; what the sidecar does itself is not told so",
    scene(async (s) => {
      await s.listener();
      const second = await s.listener();
      const sidecar = await s.sidecar();
      sidecar.watch();
      const specs = [parseSpec(s.spec)];
      const at = { bpffs: BPFFS };
      const { pid } = second.process;
      await changePolicy(specs, { migrate: "any", route: "newest" }, at);
      await logged(
        s,
        "another command changed the policy to migrate any, route newest, settings prefer; it was newest, kernel, prefer",
      );
      await drain(specs, { pid }, at);
      await logged(s, `another command drained the listener of pid ${pid},`);
      await undrain(specs, null, at);
      await logged(s, `another command undrained the listener of pid ${pid},`);
      const told = () => s.log.filter(({ text }) => text.includes("another command")).length;
      assert.equal(told(), 3);
      await sidecar.reload([{ specs, migrate: "off", route: "kernel", wait: true }]);
      await until("it is reloaded", () => s.log.some(({ text }) => /migrate off/.test(text)));
      await sidecar.reconcile();
      assert.equal(told(), 3);
    }),
  );
});
