/** Connections that migrate again and again: every hop is one decision, whatever the slots do. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { tally } from "../helpers/load/peer.ts";
import { kernelMigrations, migrationsSince } from "../helpers/net/netstat.ts";
import { scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { groupOf, listenerOf, migratingDecisions } from "../helpers/scene/status.ts";
import type { Listener } from "../helpers/servers/listener.ts";

describe("a destination that closes too", () => {
  test(
    "hands on what it got",
    scene(async (s) => {
      const before = kernelMigrations();
      const first = await s.listener();
      const sidecar = await s.sidecar();
      const { peers } = await bringTo("accept queue", 50, s);
      const second = await s.listener();
      await sidecar.reconcile();
      await first.close();
      assert.equal(listenerOf(groupOf(s.port), second.cookie).migratedInto, 50);
      const third = await s.listener();
      await third.serve();
      await sidecar.reconcile();
      await second.leave("SIGKILL");
      assert.deepEqual(await tally(peers), { [third.process.pid]: 50 });

      const group = groupOf(s.port);
      assert.deepEqual(migratingDecisions(group), { "accept_queue/selected": 100 });
      assert.equal(listenerOf(group, third.cookie).migratedInto, 50);
      assert.deepEqual(group.closed, { out: 100, into: 50 });
      assert.equal(migrationsSince(before), 100);
    }),
  );
});

describe("several that are killed at once", () => {
  test(
    "are counted exactly, on whichever CPU each one ends",
    scene(async (s) => {
      const COUNT = 400;
      const before = kernelMigrations();
      const victims: Listener[] = [];
      // Fewer than are tried for a connection, so that the last one is found whoever has gone.
      for (let i = 0; i < 6; i++) victims.push(await s.listener());
      const sidecar = await s.sidecar();
      const { peers } = await bringTo("accept queue", COUNT, s);
      const last = await s.listener();
      await last.serve();
      await sidecar.reconcile();
      await Promise.all(victims.map((victim) => victim.leave("SIGKILL")));
      assert.deepEqual(await tally(peers), { [last.process.pid]: COUNT });

      const group = groupOf(s.port);
      const decided = Object.values(migratingDecisions(group)).reduce((sum, n) => sum + n, 0);
      assert.ok(decided >= COUNT);
      assert.equal(decided, migrationsSince(before));
      // Some went from one victim to another first.
      const { migratedInto } = listenerOf(group, last.cookie);
      assert.equal(migratedInto, COUNT);
      assert.equal(group.closed.into, decided - COUNT);
    }),
  );
});

describe("more reloads than a group has slots", () => {
  const RELOADS = 150;
  test(
    "lose no connection and no count",
    scene(async (s) => {
      const before = kernelMigrations();
      const process = await s.process();
      let old: Listener = await s.listener({}, process);
      const sidecar = await s.sidecar();
      const { peers } = await bringTo("accept queue", 3, s);
      const slots = new Set<number | null>();
      for (let i = 0; i < RELOADS; i++) {
        const next: Listener = await s.listener({}, process);
        await sidecar.reconcile();
        await old.close();
        old = next;
        const [group] = (await sidecar.status()).groups;
        if (group) slots.add(listenerOf(group, old.cookie).slot);
      }
      const group = groupOf(s.port);
      assert.ok(slots.size < RELOADS && !slots.has(null), "slots were used again");
      assert.deepEqual(migratingDecisions(group), { "accept_queue/selected": 3 * RELOADS });
      assert.equal(listenerOf(group, old.cookie).migratedInto, 3);
      assert.deepEqual(group.closed, { out: 3 * RELOADS, into: 3 * (RELOADS - 1) });
      assert.equal(migrationsSince(before), 3 * RELOADS);
      await old.serve();
      assert.deepEqual(await tally(peers), { [process.pid]: 3 });
    }),
  );
});

describe("more listeners than a group can have slots", () => {
  test(
    "the others are left to the kernel's hash and lose nothing",
    scene(async (s) => {
      const first = await s.process();
      await s.listener({}, first);
      const sidecar = await s.sidecar();
      for (let i = 0; i < 1_030; i++) await s.listener({}, first);
      await sidecar.reconcile();
      const group = groupOf(s.port);
      const without = group.listeners.filter(({ slot }) => slot === null).length;
      assert.equal(without, 7);
      assert.equal(s.log.filter(({ level }) => level === "warn").length, 1);

      const { peers } = await bringTo("accept queue", 200, s);
      const last = await s.listener();
      await last.serve();
      await first.exit();
      assert.deepEqual(await tally(peers), { [last.process.pid]: 200 });
    }),
  );
});
