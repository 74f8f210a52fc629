/**
 * A destination that sleeps in epoll_wait is woken by what migrates to it. On kernels with
 * CVE-2026-46015 (accept queue only) the connections would wait for its next one.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { tally } from "../helpers/load/peer.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo, type State } from "../helpers/scene/stages.ts";
import { until } from "../helpers/until.ts";

const COUNT = 50;
const sleeps = (pid: number) => readFileSync(`/proc/${pid}/wchan`, "utf8").includes("poll");

async function wakes(s: Scene, state: State): Promise<void> {
  const old = await s.listener();
  const sidecar = await s.sidecar();
  const { peers, release } = await bringTo(state, COUNT, s);
  const idle = await s.listener();
  await idle.serve();
  await sidecar.reconcile();
  await until("the destination sleeps", () => sleeps(idle.process.pid));

  await old.close();
  release();
  assert.deepEqual(await tally(peers), { [idle.process.pid]: COUNT });
}

describe("an idle destination is woken", () => {
  for (const state of ["accept queue", "final ack"] as const) {
    test(
      state,
      scene((s) => wakes(s, state)),
    );
  }
});
