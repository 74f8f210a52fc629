/**
 * Local users who bind to a port that the sidecar covers, without a pause: that costs the sidecar
 * little CPU time, and new listeners of other users become targets meanwhile.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readStatus } from "../../loader/index.ts";
import { cpuMs } from "../helpers/host/processes.ts";
import { Attacker } from "../helpers/hostile/attacker.ts";
import { AS_NOBODY } from "../helpers/hostile/nobody.ts";
import { SidecarProcess, total } from "../helpers/product/sidecar.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

const ATTACKERS = 2;
/** CPU time is measured over some parts; a listener opens at the end of each. */
const PART_MS = 1_000;
const PARTS = 4;
/** Part of a core; without a limit it is 0.8, and the sidecar aims at 0.1. */
const MAX_SHARE = 0.25;
/** Binds that each attacker makes meanwhile, at least. */
const MIN_BINDS = 5_000;
/** In a network namespace of their own, where any user may bind to any port. */
const APART = [...AS_NOBODY, "unshare", "--user", "--map-root-user", "--net", "--"];

interface Flood {
  /** As for binds.py. */
  readonly how: "bind" | "listen";
  readonly address: string;
  readonly under: readonly string[];
}

/** Returns how many binds an attacker has reported. */
function bound(attacker: Attacker): number {
  return Number(/.*BOUND (\d+)\n/s.exec(attacker.output())?.[1] ?? 0);
}

async function attack(s: Scene, { how, address, under }: Flood): Promise<Attacker[]> {
  const attackers: Attacker[] = [];
  while (attackers.length < ATTACKERS) {
    const attacker = await Attacker.start("binds.py", [how, address, String(s.port)], under);
    s.defer(() => attacker[Symbol.asyncDispose]());
    attackers.push(attacker);
  }
  await until("they bind", () => attackers.every((attacker) => bound(attacker) > 0));
  return attackers;
}

/** Returns the cookies of all targets. */
function targets(): string[] {
  const listeners = readStatus({ bpffs: BPFFS }).groups.flatMap((group) => group.listeners);
  return listeners.filter(({ role }) => role === "target").map(({ cookie }) => String(cookie));
}

/**
 * Starts a sidecar and attackers, and opens listeners meanwhile.
 * @returns the number of binds that were not reported
 */
async function withstand(s: Scene, options: readonly string[], flood: Flood): Promise<number> {
  await s.listener();
  await using sidecar = await SidecarProcess.attach(`:${s.port}`, ...options);
  const attackers = await attack(s, flood);
  const [beganMs, usedBefore] = [performance.now(), cpuMs(sidecar.pid)];
  const before = attackers.map(bound);
  for (let part = 0; part < PARTS; part++) {
    await sleep(PART_MS);
    const { cookie } = await s.listener();
    await until("the new listener is a target", () => targets().includes(cookie));
  }
  const share = (cpuMs(sidecar.pid) - usedBefore) / (performance.now() - beganMs);
  const binds = attackers.map((attacker, i) => bound(attacker) - (before[i] ?? 0));
  assert.ok(Math.min(...binds) > MIN_BINDS, `binds: ${binds}`);
  assert.ok(share < MAX_SHARE, `${share} of a core`);
  const missed = total(await sidecar.metrics(), "reuseport_migrate_bind_events_missed_total");
  await sidecar.stop();
  return missed;
}

describe("binds of other users without a pause", () => {
  test(
    "in another network namespace: they are not reported",
    scene(async (s) => {
      const flood = { how: "bind", address: "0.0.0.0", under: APART } as const;
      assert.equal(await withstand(s, [], flood), 0);
    }),
  );

  test(
    "in another network namespace, which is covered",
    scene(async (s) => {
      const flood = { how: "bind", address: "0.0.0.0", under: APART } as const;
      assert.ok((await withstand(s, ["--netns", "all"], flood)) > MIN_BINDS);
    }),
  );

  for (const how of ["bind", "listen"] as const) {
    test(
      `in the sidecar's own network namespace: ${how}`,
      scene(async (s) => {
        const flood = { how, address: "127.0.0.2", under: AS_NOBODY };
        assert.ok((await withstand(s, [], flood)) > MIN_BINDS);
      }),
    );
  }
});
