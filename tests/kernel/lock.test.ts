/** While another process holds the pin tree's lock a sidecar waits, and its event loop turns. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { PinTree } from "../../loader/bpf/pin_tree.ts";
import { parseSpec } from "../../loader/index.ts";
import { pins } from "../helpers/host/fds.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { BPFFS, PLAIN, type Scene, scene } from "../helpers/scene/scene.ts";

const HELD_MS = 600;

/** Has another process take the lock. @returns when it has, with what releases it */
async function lockElsewhere(s: Scene): Promise<() => Promise<void>> {
  const { root } = new PinTree(BPFFS);
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const child = spawn("flock", [root, "sh", "-c", "echo; read line"], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const exited = once(child, "exit");
  const release = async () => {
    child.stdin.end();
    await exited;
  };
  s.defer(release);
  await once(child.stdout, "data");
  return release;
}

/**
 * Runs `work`, which waits for a lock that is held for HELD_MS.
 * @returns turns of the event loop meanwhile
 */
async function turnsDuring(s: Scene, work: () => Promise<unknown>): Promise<number> {
  const release = await lockElsewhere(s);
  let isDone = false;
  let turns = 0;
  const ticking = setInterval(() => turns++, 5);
  try {
    const done = work().then(() => {
      isDone = true;
    });
    await sleep(HELD_MS);
    assert.equal(isDone, false, "it waits");
    const counted = turns;
    await release();
    await done;
    return counted;
  } finally {
    clearInterval(ticking);
  }
}

/** A fifth of what an idle event loop makes; one that is blocked makes none. */
const ENOUGH = HELD_MS / 5 / 5;

describe("a sidecar waits for the lock", () => {
  for (const [what, work] of [
    ["to close", (s) => s.sidecar().then((sidecar) => () => sidecar.close())],
    ["to reconcile", (s) => s.sidecar().then((sidecar) => () => sidecar.reconcile())],
    [
      "to reload",
      (s) => {
        const services = [{ ...PLAIN, specs: [parseSpec(s.spec)] }];
        return s.sidecar().then((sidecar) => () => sidecar.reload(services));
      },
    ],
    ["to start", async (s) => () => s.sidecar()],
  ] as const satisfies [string, (s: Scene) => Promise<() => Promise<unknown>>][]) {
    test(
      what,
      scene(async (s) => {
        await s.listener();
        const turns = await turnsDuring(s, await work(s));
        assert.ok(turns >= ENOUGH, `${turns} turns`);
      }),
    );
  }

  test(
    "and watches meanwhile: its event loop turns, and the new listener is a target afterwards",
    scene(async (s) => {
      await s.listener();
      const sidecar = await s.sidecar();
      sidecar.watch();
      const turns = await turnsDuring(s, async () => {
        const { cookie } = await s.listener();
        for (;;) {
          const [group] = (await sidecar.status()).groups;
          const found = group?.listeners.find((one) => one.cookie === BigInt(cookie));
          if (found?.role === "target") return;
          await sleep(20);
        }
      });
      assert.ok(turns >= ENOUGH, `${turns} turns`);
    }),
  );

  test(
    "after SIGTERM: it answers scrapes until then, and gives its groups back",
    scene(async (s) => {
      await s.listener();
      const sidecar = await SidecarProcess.attach(s.spec, "--metrics", "0");
      s.defer(() => sidecar[Symbol.asyncDispose]());
      const release = await lockElsewhere(s);
      const stopped = sidecar.stop();
      await sleep(HELD_MS);
      assert.match(await sidecar.metrics(), /^reuseport_migrate_groups\{.*\} 1$/m);
      await release();
      await stopped;
      assert.deepEqual(pins(BPFFS), []);
    }),
  );
});
