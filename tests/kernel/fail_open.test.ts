/** A sidecar that cannot see the host any longer: its standby does not take a live server's clients. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { tally } from "../helpers/load/peer.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

const COUNT = 10;

/** Lets the process open no further file, or as many as before. */
function limitFiles(pid: number, files: string): void {
  execFileSync("prlimit", ["--pid", String(pid), `--nofile=${files}:`]);
}

test(
  "after two seconds the standby closes; it comes back when the host can be read",
  scene(async (s) => {
    const old = await s.listener();
    await using sidecar = await SidecarProcess.attach(s.spec, "--hold", "60s");
    limitFiles(sidecar.pid, "3");
    await old.close();
    const before = await s.peers(COUNT); // at the standby
    const next = await s.listener();
    await next.serve();
    assert.deepEqual(await tally(before), { [next.process.pid]: COUNT });
    assert.deepEqual(await tally(await s.peers(COUNT)), { [next.process.pid]: COUNT });
    limitFiles(sidecar.pid, "4096");
    await until("the standby is back", async () =>
      /hold_connections\{.*\} 0/.test(await sidecar.metrics()),
    );
    await sidecar.stop();
  }),
);
