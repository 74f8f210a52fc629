/** Which listener a new connection goes to. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { START_GAP_MS } from "../../loader/core/generations.ts";
import { tally } from "../helpers/load/peer.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { decisions, groupOf, listenerOf } from "../helpers/scene/status.ts";
import type { Listener } from "../helpers/servers/listener.ts";

const COUNT = 100; // of 4 workers one gets none by chance once in 10^12

async function workers(s: Scene, count: number): Promise<Listener[]> {
  const processes = await Promise.all(Array.from({ length: count }, () => s.process()));
  const listeners: Listener[] = [];
  for (const process of processes) {
    const listener = await s.listener({}, process);
    await listener.serve();
    listeners.push(listener);
  }
  return listeners;
}

async function servedBy(s: Scene): Promise<number[]> {
  const served = await tally(await s.peers(COUNT));
  assert.equal(
    Object.values(served).reduce((sum, n) => sum + n, 0),
    COUNT,
  );
  return Object.keys(served).map(Number).sort();
}

const pids = (listeners: readonly Listener[]) => listeners.map((l) => l.process.pid).sort();

describe("--route kernel", () => {
  test(
    "one respawned worker is one of four",
    scene(async (s) => {
      const [victim, ...others] = await workers(s, 4);
      const sidecar = await s.sidecar();
      await sleep(START_GAP_MS + 100);
      await victim?.process.kill();
      await sidecar.reconcile();
      const respawned = await workers(s, 1);
      await sidecar.reconcile();

      assert.deepEqual(await servedBy(s), pids([...others, ...respawned]));
      assert.deepEqual(decisions(groupOf(s.port)), { "syn/kernel": COUNT });
      for (const { cookie } of [...others, ...respawned]) {
        assert.equal(listenerOf(groupOf(s.port), cookie).generation, 1);
      }
    }),
  );
});

describe("--route newest", () => {
  test(
    "the newest generation gets all new connections",
    scene(async (s) => {
      const old = await workers(s, 2);
      const sidecar = await s.sidecar({ route: "newest" });
      assert.deepEqual(await servedBy(s), pids(old));
      await sleep(START_GAP_MS + 100);
      const newest = await workers(s, 2);
      await sidecar.reconcile();

      assert.deepEqual(await servedBy(s), pids(newest));
      assert.deepEqual(decisions(groupOf(s.port)), { "syn/selected": 2 * COUNT });
      const roles = groupOf(s.port).listeners.map(({ role }) => role);
      assert.deepEqual(roles.toSorted(), ["superseded", "superseded", "target", "target"]);
    }),
  );

  test(
    "targets that have just gone leave new connections to the others",
    scene(async (s) => {
      const old = await workers(s, 2);
      const sidecar = await s.sidecar({ route: "newest" });
      await sleep(START_GAP_MS + 100);
      const newest = await workers(s, 1);
      await sidecar.reconcile();
      for (const { process } of newest) await process.kill();

      assert.deepEqual(await servedBy(s), pids(old));
      assert.deepEqual(decisions(groupOf(s.port)), { "syn/fallback/gone": COUNT });
      await sidecar.reconcile();
      assert.deepEqual(await servedBy(s), pids(old));
      assert.equal(decisions(groupOf(s.port))["syn/selected"], COUNT);
    }),
  );
});
