/** A sidecar takes nothing along: no file descriptor, no pin, no BPF program. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ForeignProgramError } from "../../loader/index.ts";
import { openFds, pins } from "../helpers/host/fds.ts";
import { BPFFS, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

const CYCLES = 25;

describe("many sidecars in one process", () => {
  test(
    "leave no file descriptor and no pin",
    scene(async (s) => {
      await s.listener();
      const first = await s.sidecar();
      first.watch();
      await first.close(); // what Node and libbpf open once and keep
      await sleep(0);
      const before = openFds();
      for (let i = 0; i < CYCLES; i++) {
        const sidecar = await s.sidecar();
        if (i % 3 === 0) sidecar.watch();
        await sidecar.close({ keep: i % 2 === 0 });
      }
      await (await s.sidecar()).close({ keep: false });
      await until("file descriptors are as before", () => same(openFds(), before)).catch(() => {});
      assert.deepEqual(openFds(), before);
      assert.deepEqual(pins(BPFFS), []);
    }),
  );

  test(
    "that look again and again neither",
    scene(async (s) => {
      const process = await s.process();
      await s.listener({}, process);
      const sidecar = await s.sidecar();
      await sidecar.reconcile();
      const before = openFds();
      for (let i = 0; i < CYCLES; i++) {
        const listener = await s.listener({}, process);
        await sidecar.reconcile();
        await sidecar.status();
        await listener.close();
        await sidecar.reconcile();
      }
      assert.deepEqual(openFds(), before);
    }),
  );

  test(
    "that are refused neither",
    scene(async (s) => {
      const listener = await s.listener();
      await listener.filter();
      await assert.rejects(() => s.sidecar(), ForeignProgramError);
      await sleep(0);
      const before = openFds();
      for (let i = 0; i < CYCLES; i++) await assert.rejects(() => s.sidecar(), ForeignProgramError);
      await until("file descriptors are as before", () => same(openFds(), before)).catch(() => {});
      assert.deepEqual(openFds(), before);
      assert.deepEqual(pins(BPFFS), []);
    }),
  );
});

const same = (a: readonly string[], b: readonly string[]) => a.join() === b.join();
