/**
 * --ready-check: who listens is not ready yet, and how a check reaches the listener it is about.
 * Each server listens without accepting at first, so that a check that passes too early is seen.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { START_GAP_MS } from "../../loader/core/generations.ts";
import type { Sidecar, SidecarOptions } from "../../loader/index.ts";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { tally } from "../helpers/load/peer.ts";
import { hasVrf, ON_DEVICE, testDevice, testVrf } from "../helpers/net/device.ts";
import { TestNetns } from "../helpers/net/netns.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import type { ListenOptions } from "../helpers/servers/listener.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;
/** Longer than until() waits: the end of the time is no success. */
const HOLD = { timeMs: 600_000, max: 4096 };
const SO_BINDTOIFINDEX = { level: 1, name: 62 };
const TCP_DEFER_ACCEPT = { level: 6, name: 9, value: 30 };

const holdOf = (s: Scene) => groupOf(s.port).hold;
const warnings = (s: Scene) =>
  s.log.filter(({ level }) => level === "warn").map(({ text }) => text);

/** A sidecar that holds, after the only listener has left, which `under` started. */
async function holding(
  s: Scene,
  options: Partial<SidecarOptions> = {},
  listen: Partial<ListenOptions> = {},
  under: readonly string[] = [],
): Promise<Sidecar> {
  const listener = await s.listener(listen, await s.process(under));
  const sidecar = await s.sidecar({ hold: HOLD, readyCheck: "tcp", ...options });
  await listener.close();
  await sidecar.reconcile();
  assert.equal(holdOf(s)?.holding, true);
  return sidecar;
}

async function handedOver(s: Scene, sidecar: Sidecar): Promise<void> {
  const isOver = async () => {
    await sidecar.reconcile();
    return groupOf(s.port).holds.handed_over === 1;
  };
  await until("it is handed over", isOver, 20);
}

/** Longer than a check of a server that accepts takes, with its passes. */
async function givenTime(sidecar: Sidecar): Promise<void> {
  for (let i = 0; i < 10; i++) {
    await sidecar.reconcile();
    await sleep(20);
  }
}

/** The server comes back, and accepts later: what is held is handed over then, and not before. */
async function comesBack(
  s: Scene,
  sidecar: Sidecar,
  listen: Partial<ListenOptions> = {},
): Promise<void> {
  const peers = await s.peers(COUNT);
  const slow = await s.listener(listen);
  await givenTime(sidecar);
  const more = await s.peers(COUNT);
  assert.equal(holdOf(s)?.connections, 2 * COUNT, "it listens, and has not accepted");
  await slow.serve();
  await handedOver(s, sidecar);
  assert.deepEqual(await tally([...peers, ...more]), { [slow.process.pid]: 2 * COUNT });
  assert.deepEqual(warnings(s), []);
}

describe("--ready-check tcp", () => {
  test(
    "handed over when the server accepts, not when it listens",
    scene(async (s) => comesBack(s, await holding(s))),
  );

  test(
    "also where a handshake is only complete with data (TCP_DEFER_ACCEPT)",
    scene(async (s) => {
      const listen = { options: [TCP_DEFER_ACCEPT] };
      await comesBack(s, await holding(s, {}, listen), listen);
    }),
  );

  test(
    "an IPv4 address that a server listens on by an IPv6 socket, as Java does",
    scene(async (s) => {
      const listen = { address: `::ffff:${s.address}`, dual: true };
      await comesBack(s, await holding(s, {}, listen), listen);
    }),
  );

  test(
    "when the time is up, to whoever listens",
    scene(async (s) => {
      const sidecar = await holding(s, { hold: { timeMs: 400, max: 4096 } });
      const peers = await s.peers(COUNT);
      const slow = await s.listener();
      await handedOver(s, sidecar);
      await slow.serve();
      assert.deepEqual(await tally(peers), { [slow.process.pid]: COUNT });
    }),
  );

  test(
    "listeners that never accept do not keep another one of their server from being checked",
    scene(async (s) => {
      const sidecar = await holding(s);
      const hang = async () => [await s.listener(), await s.listener()];
      await hang();
      await givenTime(sidecar);
      const good = await s.listener();
      await hang(); // the good one is neither the first nor the last, whatever the order
      await good.serve();
      await handedOver(s, sidecar);
    }),
  );

  test(
    "a dual-stack server where ::1 does not exist",
    scene(
      async (s) => {
        s.sysctl("net.ipv6.conf.lo.disable_ipv6", 1);
        await comesBack(s, await holding(s, {}, { dual: true }), { dual: true });
      },
      "::",
      "127.0.0.1",
    ),
  );

  test(
    "no way to the server: that is said, and the hold ends in time",
    scene(
      async (s) => {
        s.sysctl("net.ipv6.conf.lo.disable_ipv6", 1);
        const sidecar = await holding(s, { hold: { timeMs: 5_000, max: 4096 } });
        await s.listener();
        await handedOver(s, sidecar);
        assert.match(warnings(s).join(), /the ready check cannot connect to the new listener/);
      },
      "::",
      "::1",
    ),
  );

  const { ipv4, ipv6, linkLocal } = ON_DEVICE;
  for (const [address, to, dual] of [
    ["0.0.0.0", ipv4, false],
    [ipv4, ipv4, false],
    ["::", ipv4, true],
    ["::", ipv6, false],
    [linkLocal, `${linkLocal}%rmtest0`, false],
  ] as const) {
    test(
      `a server on ${address}${dual ? ", dual-stack," : ""} that is bound to a device`,
      scene(
        async (s) => {
          const listen = { dual, options: [{ ...SO_BINDTOIFINDEX, value: testDevice(s) }] };
          await comesBack(s, await holding(s, {}, listen), listen);
        },
        address,
        to,
      ),
    );
  }

  // This machine's kernel has none: run with Debian's under emulation, VM_MODULES=vrf.
  const inVrf = [
    ["0.0.0.0", false],
    [ipv4, false],
    ["::", true],
    ["::", false],
  ] as const;
  for (const [address, dual] of hasVrf() ? inVrf : []) {
    test(
      `a server on ${address}${dual ? ", dual-stack," : ""} in a VRF`,
      scene(async (s) => {
        const listen = { dual, options: [{ ...SO_BINDTOIFINDEX, value: testVrf(s) }] };
        const sidecar = await holding(s, {}, listen);
        const slow = await s.listener(listen);
        await givenTime(sidecar);
        assert.equal(holdOf(s)?.holding, true, "it listens, and has not accepted");
        await slow.serve();
        await handedOver(s, sidecar);
        assert.deepEqual(warnings(s), []);
      }, address),
    );
  }

  test(
    "a server in another network namespace, and not one at the same address in the sidecar's",
    scene(async (s) => {
      const { under, inode, pid } = await TestNetns.make(s);
      await (await s.listener()).serve();
      const sidecar = await holding(s, { filter: { netns: inode }, netns: pid }, {}, under);
      const slow = await s.listener({}, await s.process(under));
      await givenTime(sidecar);
      assert.equal(holdOf(s)?.holding, true, "it listens, and has not accepted");
      await slow.serve();
      await handedOver(s, sidecar);
    }, "::"),
  );

  for (const [address, other] of [
    ["0.0.0.0", "127.0.0.1"],
    ["::", "::1"],
  ] as const) {
    test(
      `never the server on ${other} with the same port`,
      scene(
        async (s) => {
          testDevice(s);
          const other_ = await s.listener({ address: other });
          await other_.serve();
          await comesBack(s, await holding(s));
        },
        address,
        address === "::" ? ipv6 : ipv4,
      ),
    );
  }
});

describe("readyFirst", () => {
  const OPTIONS = { readyCheck: "tcp", readyFirst: true, route: "newest" } as const;

  for (const hold of [null, HOLD]) {
    test(
      `${hold ? "with" : "without"} a hold: the old one gets all until the new one accepts`,
      scene(async (s) => {
        const old = await s.listener();
        await old.serve();
        const sidecar = await s.sidecar({ ...OPTIONS, hold });
        await givenTime(sidecar);
        await sleep(START_GAP_MS); // or it would be of the same generation
        const slow = await s.listener();
        await givenTime(sidecar);
        assert.deepEqual(await tally(await s.peers(COUNT)), { [old.process.pid]: COUNT });
        await slow.serve();
        await givenTime(sidecar);
        assert.deepEqual(await tally(await s.peers(COUNT)), { [slow.process.pid]: COUNT });
        assert.deepEqual(warnings(s), []);
      }),
    );
  }

  test(
    "a first one that is not ready is served by the kernel, and its group is not given up",
    scene(async (s) => {
      const first = await s.listener();
      const sidecar = await s.sidecar({ ...OPTIONS, hold: HOLD, idleMs: 1 });
      await givenTime(sidecar);
      assert.deepEqual(
        groupOf(s.port).listeners.map(({ slot }) => slot),
        [null],
      );
      const peers = await s.peers(COUNT);
      await first.serve();
      assert.deepEqual(await tally(peers), { [first.process.pid]: COUNT });
      await givenTime(sidecar);
      const [slot] = groupOf(s.port).listeners.map((listener) => listener.slot);
      assert.equal(slot, 0);
    }),
  );

  test(
    "one that dies before it accepts has changed nothing",
    scene(async (s) => {
      const old = await s.listener();
      await old.serve();
      const sidecar = await s.sidecar({ ...OPTIONS, hold: HOLD });
      await givenTime(sidecar);
      const broken = await s.listener();
      await givenTime(sidecar);
      const peers = await s.peers(COUNT);
      assert.deepEqual(await tally(peers), { [old.process.pid]: COUNT });
      await broken.process.kill();
      await givenTime(sidecar);
      assert.deepEqual(await tally(await s.peers(COUNT)), { [old.process.pid]: COUNT });
      assert.equal(groupOf(s.port).holds.started, 0);
    }),
  );

  test(
    "servers are told apart by their cgroups: one of them does not speak for, nor delay, another",
    scene(async (s) => {
      const [one, two] = ["one", "two"].map((name) => new TestCgroup(s, name).create());
      const old = await s.listener();
      await old.serve();
      const sidecar = await s.sidecar(OPTIONS);
      await givenTime(sidecar);
      await s.listener({}, await s.process(one?.under)); // never accepts
      const good = await s.listener({}, await s.process(two?.under));
      const same = await s.listener({}, await s.process(two?.under));
      await Promise.all([good.serve(), same.serve()]);
      const ready = () => groupOf(s.port).listeners.filter(({ slot }) => slot !== null);
      const looks = async () => {
        await sidecar.reconcile();
        return ready().length > 1;
      };
      await until("the good one is ready", looks, 20);
      const expected = [old, good, same].map((listener) => listener.cookie);
      assert.deepEqual(
        ready()
          .map(({ cookie }) => String(cookie))
          .sort(),
        expected.sort(),
      );
      await givenTime(sidecar);
      assert.equal(ready().length, 3);
    }),
  );
});
