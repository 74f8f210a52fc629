/** Which listener a migrating connection goes to. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { START_GAP_MS } from "../../loader/core/generations.ts";
import type { Sidecar } from "../../loader/index.ts";
import { IPPROTO_TCP, SOL_SOCKET } from "../../loader/sys/libc.ts";
import { tally } from "../helpers/load/peer.ts";
import { kernelMigrations } from "../helpers/net/netstat.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { groupOf, listenerOf, migratingDecisions } from "../helpers/scene/status.ts";
import type { Listener, ListenOptions } from "../helpers/servers/listener.ts";

const COUNT = 50;

/** A listener that serves, of a generation of its own. */
async function nextGeneration(
  s: Scene,
  sidecar: Sidecar,
  options: Partial<ListenOptions> = {},
): Promise<Listener> {
  await sleep(START_GAP_MS + 100); // what tells one start of a service from the next is time
  const listener = await s.listener(options);
  await listener.serve();
  await sidecar.reconcile();
  return listener;
}

describe("--migrate newest", () => {
  test(
    "the newest generation gets all",
    scene(async (s) => {
      const first = await s.listener();
      const sidecar = await s.sidecar();
      const { peers } = await bringTo("accept queue", COUNT, s);
      const second = await nextGeneration(s, sidecar);
      const third = await nextGeneration(s, sidecar);
      const generations = [first, second, third].map(
        ({ cookie }) => listenerOf(groupOf(s.port), cookie).generation,
      );
      assert.deepEqual(generations, [1, 2, 3]);

      await first.close();
      assert.deepEqual(await tally(peers), { [third.process.pid]: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), { "accept_queue/selected": COUNT });
    }),
  );
});

describe("--migrate any", () => {
  test(
    "all live listeners get some",
    scene(async (s) => {
      const first = await s.listener();
      const sidecar = await s.sidecar({ migrate: "any" });
      const { peers } = await bringTo("accept queue", COUNT, s);
      const second = await nextGeneration(s, sidecar);
      const third = await nextGeneration(s, sidecar);

      await first.close();
      const served = await tally(peers);
      const { [second.process.pid]: a = 0, [third.process.pid]: b = 0 } = served;
      assert.ok(a > 0 && b > 0 && a + b === COUNT, JSON.stringify(served));
      assert.deepEqual(migratingDecisions(groupOf(s.port)), { "accept_queue/selected": COUNT });
    }),
  );
});

describe("--migrate off", () => {
  for (const sysctl of [0, 1]) {
    test(
      `all are reset, tcp_migrate_req ${sysctl}`,
      scene(async (s) => {
        s.sysctl("net.ipv4.tcp_migrate_req", sysctl);
        const before = kernelMigrations();
        const old = await s.listener();
        const sidecar = await s.sidecar({ migrate: "off" });
        const { peers } = await bringTo("accept queue", COUNT, s);
        const next = await s.listener();
        await next.serve();
        await sidecar.reconcile();

        await old.close();
        assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
        assert.deepEqual(migratingDecisions(groupOf(s.port)), { "accept_queue/dropped": COUNT });
        const after = kernelMigrations();
        assert.deepEqual(after, { ...before, failure: before.failure + COUNT });
      }),
    );
  }
});

describe("a policy that changes", () => {
  test(
    "is the next sidecar's",
    scene(async (s) => {
      const old = await s.listener();
      await (await s.sidecar({ migrate: "off", route: "newest" })).close({ keep: true });
      assert.equal(groupOf(s.port).migrate, "off");
      const { peers } = await bringTo("accept queue", COUNT, s);
      const next = await s.listener();
      await next.serve();
      await s.sidecar();
      assert.equal(groupOf(s.port).migrate, "newest");
      assert.equal(groupOf(s.port).route, "kernel");

      await old.close();
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), { "accept_queue/selected": COUNT });
    }),
  );
});

describe("other settings", () => {
  const different = {
    TCP_NODELAY: { level: IPPROTO_TCP, name: 1, value: 1 },
    TCP_DEFER_ACCEPT: { level: IPPROTO_TCP, name: 9, value: 5 },
    SO_KEEPALIVE: { level: SOL_SOCKET, name: 9, value: 1 },
  };
  for (const [name, option] of Object.entries(different)) {
    test(
      `${name}: an older compatible listener is preferred`,
      scene(async (s) => {
        const old = await s.listener();
        const sidecar = await s.sidecar();
        const { peers } = await bringTo("accept queue", COUNT, s);
        const equal = await s.listener();
        await equal.serve();
        await sidecar.reconcile();
        await nextGeneration(s, sidecar, { options: [option] });

        await old.close();
        assert.deepEqual(await tally(peers), { [equal.process.pid]: COUNT });
        assert.deepEqual(migratingDecisions(groupOf(s.port)), { "accept_queue/selected": COUNT });
      }),
    );
  }

  test(
    "with no compatible listener the kernel decides, and it is counted",
    scene(async (s) => {
      const old = await s.listener();
      const sidecar = await s.sidecar();
      const { peers } = await bringTo("accept queue", COUNT, s);
      const other = await s.listener({ options: [different.TCP_NODELAY] });
      await other.serve();
      await sidecar.reconcile();

      await old.close();
      assert.deepEqual(await tally(peers), { [other.process.pid]: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), {
        "accept_queue/fallback/settings": COUNT,
      });
    }),
  );

  test(
    "options that are set after listen(), as nginx does, count too",
    scene(async (s) => {
      const old = await s.listener();
      await old.set(different.TCP_DEFER_ACCEPT);
      const sidecar = await s.sidecar();
      const { peers } = await bringTo("accept queue", COUNT, s);
      const next = await s.listener();
      await sidecar.reconcile();
      await next.set(different.TCP_DEFER_ACCEPT);
      await next.serve();
      await sidecar.reconcile();

      await old.close();
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), { "accept_queue/selected": COUNT });
    }),
  );
});
