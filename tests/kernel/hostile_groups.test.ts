/**
 * Local users whose listeners refuse a program, or are many, on a port that the sidecar covers: the
 * groups of every other user are attached, and stay attached.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { GroupStatus } from "../../loader/index.ts";
import { readStatus } from "../../loader/index.ts";
import { cpuMs } from "../helpers/host/processes.ts";
import { type HostileKind, HostileListeners } from "../helpers/hostile/listeners.ts";
import { runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

async function hostile(s: Scene, kind: HostileKind, count: number): Promise<HostileListeners> {
  const found = await HostileListeners.start(kind, s.port, count);
  s.defer(() => found[Symbol.asyncDispose]());
  return found;
}

function attached(): GroupStatus[] {
  return readStatus({ bpffs: BPFFS }).groups.filter((group) => group.attached);
}

const addresses = () => attached().map(({ key }) => key.address);

describe("a listener of another user that refuses a program", () => {
  const kinds: [HostileKind, string[], RegExp][] = [
    ["filter", [], /a classic BPF filter/],
    ["locked", [], /SO_LOCK_FILTER/],
    ["mptcp", ["--hold", "5s"], /cannot be held/],
  ];
  for (const [kind, options, reason] of kinds) {
    test(
      `${kind}: every other group is attached, and the sidecar says why this one is not`,
      scene(async (s) => {
        await s.listener();
        const attacker = await hostile(s, kind, 1);
        await using sidecar = await SidecarProcess.attach(`:${s.port}`, "--wait", ...options);
        assert.deepEqual(addresses(), ["127.0.0.1"]);
        const [warning = ""] = sidecar.warnings();
        assert.match(warning, reason);
        assert.match(warning, new RegExp(`pid ${attacker.pid}, uid 65534`));
        assert.match(await sidecar.metrics(), /refused_groups\{reason="\w+"\} 1/);
        await sleep(1_500); // the first retry
        assert.deepEqual(addresses(), ["127.0.0.1"]);
        assert.equal(sidecar.warnings().length, 1, "the same warning is not repeated");
        await sidecar.stop();
      }),
    );

    test(
      `${kind}: if nothing else listens, attach fails, and with --wait it waits`,
      scene(async (s) => {
        await hostile(s, kind, 1);
        const run = await runCli(["attach", `:${s.port}`, ...options]);
        assert.equal(run.code, 7, run.stderr);
        assert.match(run.stderr, reason);
        await using sidecar = await SidecarProcess.attach(`:${s.port}`, "--wait", ...options);
        await s.listener();
        await until("the other group is attached", () => addresses().includes("127.0.0.1"));
        await sidecar.stop();
      }),
    );
  }
});

test(
  "400 listeners that refuse: a new group is attached, and a core is not used up",
  scene(async (s) => {
    await s.listener();
    await using sidecar = await SidecarProcess.attach(`:${s.port}`, "--wait");
    await hostile(s, "locked", 400);
    await sleep(1_000);
    const beganMs = cpuMs(sidecar.pid);
    await s.listener({ address: "127.0.0.5" });
    await until("the new group is attached", () => addresses().includes("127.0.0.5"));
    await sleep(4_000);
    const usedMs = cpuMs(sidecar.pid) - beganMs;
    assert.ok(usedMs < 2_000, `${usedMs} ms of CPU time in 4 s`);
    const warnings = sidecar.warnings();
    assert.ok(warnings.length < 30, `${warnings.length} warnings`);
    await sidecar.stop();
  }),
);

test(
  "100 groups of one user: those beyond the limit are left to the kernel, root's are attached",
  scene(async (s) => {
    const limit = ["--max-groups-per-user", "5"];
    await using sidecar = await SidecarProcess.attach(`:${s.port}`, "--wait", ...limit);
    {
      await using _many = await HostileListeners.start("plain", s.port, 100);
      await s.listener();
      await until("root's group is attached", () => addresses().includes("127.0.0.1"));
      await until("five groups are attached", () => attached().length === 6);
      assert.match(await sidecar.metrics(), /refused_groups\{reason="limit"\} 95/);
      const warnings = sidecar.warnings();
      assert.equal(warnings.length, 1, warnings.join("\n"));
      assert.match(warnings[0] ?? "", /uid 65534 .* --max-groups-per-user is 5/);
    }
    await until("groups in which nothing ever migrated are given up", () => {
      return readStatus({ bpffs: BPFFS }).groups.length === 1;
    });
    await sidecar.stop();
  }),
);
