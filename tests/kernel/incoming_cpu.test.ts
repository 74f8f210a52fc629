/**
 * SO_INCOMING_CPU: a listener gets the new connections whose packets arrive on its CPU, as by the
 * kernel's hash since Linux 6.2, under every policy while it is a target.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { availableParallelism, release } from "node:os";
import { describe, test } from "node:test";
import { drain, parseSpec, type SidecarOptions } from "../../loader/index.ts";
import { tally } from "../helpers/load/peer.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import type { Listener } from "../helpers/servers/listener.ts";

const COUNT = 500;
const HOLD = { timeMs: 600_000, max: 4096 };
const onCpu = (value: number) => ({ level: 1, name: 49, value });

const [major = 0, minor = 0] = release().split(".").map(Number);
const CPUS = availableParallelism();
const isOld = major < 6 || (major === 6 && minor < 2);
const skip = isOld
  ? "the hash of kernels before Linux 6.2 does not follow SO_INCOMING_CPU"
  : CPUS < 2 && "one CPU has no other";

/** Connects from CPU 0 only: on loopback, the CPU on which a packet arrives is its sender's. */
async function fromCpu0(s: Scene): Promise<Record<string, number>> {
  const pin = (cpus: string) => execFileSync("taskset", ["-acp", cpus, String(process.pid)]);
  pin("0");
  try {
    return await tally(await s.peers(COUNT));
  } finally {
    pin(`0-${CPUS - 1}`);
  }
}

/** A listener that answers, and prefers a CPU. */
async function listenerOn(s: Scene, cpu: number): Promise<Listener> {
  const listener = await s.listener({ options: [onCpu(cpu)] });
  await listener.serve();
  return listener;
}

const pidOf = ({ process }: Listener) => String(process.pid);

describe("of two listeners, each on its CPU, one gets all connections from there", { skip }, () => {
  const ways: readonly [string, Partial<SidecarOptions> | null][] = [
    ["without us", null],
    ["by default", {}],
    ["with a standby", { hold: HOLD }],
    ["--route newest", { route: "newest" }],
    ["--route newest with a standby", { route: "newest", hold: HOLD }],
  ];
  for (const [way, options] of ways) {
    test(
      way,
      scene(async (s) => {
        // The other one first: neither order nor hash decides.
        await listenerOn(s, 1);
        const here = await listenerOn(s, 0);
        if (options) await s.sidecar(options);
        assert.deepEqual(await fromCpu0(s), { [pidOf(here)]: COUNT });
      }),
    );
  }

  test(
    "while another listener is drained",
    scene(async (s) => {
      await listenerOn(s, 1);
      const here = await listenerOn(s, 0);
      const third = await listenerOn(s, 0);
      await s.sidecar();
      const shared = await fromCpu0(s);
      assert.deepEqual(Object.keys(shared).sort(), [here, third].map(pidOf).sort());
      await drain([parseSpec(s.spec)], { pid: third.process.pid }, { bpffs: BPFFS });
      assert.deepEqual(await fromCpu0(s), { [pidOf(here)]: COUNT });
    }),
  );
});

describe("connections are shared", { skip }, () => {
  test(
    "by listeners of the same CPU",
    scene(async (s) => {
      const same = [await listenerOn(s, 0), await listenerOn(s, 0)];
      await listenerOn(s, 1);
      await s.sidecar({ hold: HOLD });
      const shared = await fromCpu0(s);
      assert.deepEqual(Object.keys(shared).sort(), same.map(pidOf).sort());
    }),
  );

  test(
    "by the other listeners, if none prefers the CPU or the one that does is drained",
    scene(async (s) => {
      const others = [await listenerOn(s, 1), await listenerOn(s, 1)];
      const here = await listenerOn(s, 0);
      await s.sidecar({ hold: HOLD });
      await drain([parseSpec(s.spec)], { pid: here.process.pid }, { bpffs: BPFFS });
      const shared = await fromCpu0(s);
      assert.deepEqual(Object.keys(shared).sort(), others.map(pidOf).sort());
    }),
  );
});

test(
  "the option counts when it is set, changed and taken back while the server listens",
  { skip },
  scene(async (s) => {
    const [one, two] = [await s.listener(), await s.listener()];
    for (const listener of [one, two]) await listener.serve();
    const sidecar = await s.sidecar({ hold: HOLD });
    assert.equal(Object.keys(await fromCpu0(s)).length, 2);
    await two.set(onCpu(0));
    await sidecar.reconcile();
    assert.deepEqual(await fromCpu0(s), { [pidOf(two)]: COUNT });
    await one.set(onCpu(0));
    await two.set(onCpu(1));
    await sidecar.reconcile();
    assert.deepEqual(await fromCpu0(s), { [pidOf(one)]: COUNT });
    for (const listener of [one, two]) await listener.set(onCpu(-1));
    await sidecar.reconcile();
    assert.equal(Object.keys(await fromCpu0(s)).length, 2);
  }),
);

test(
  "the standby, which prefers none, holds and hands over as always",
  { skip },
  scene(async (s) => {
    const old = await listenerOn(s, 0);
    const sidecar = await s.sidecar({ hold: HOLD });
    await old.process.kill();
    const peers = await s.peers(5);
    await sidecar.reconcile();
    const next = await listenerOn(s, 1);
    await sidecar.reconcile();
    assert.deepEqual(await tally(peers), { [pidOf(next)]: 5 });
  }),
);
