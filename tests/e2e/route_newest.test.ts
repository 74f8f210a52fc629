/**
 * `--route newest` and the kernel's own race: a final ACK that is processed while its listener
 * closes is reset, and no program runs. `--route newest` leaves no handshake on a listener that
 * closes. Measured under saturation with the sysctl alone, `--route kernel` and `--route newest`.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { lost, type Tally } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { migrated, SidecarProcess } from "../helpers/product/sidecar.ts";
import { ReloadingServer } from "../helpers/servers/reloading_server.ts";
import { report } from "./scenario.ts";

const SERVER = { port: 8083, listeners: 4 };
/** As in real reloads, the new listeners open some ms before the old ones close. */
const OVERLAP_MS = 30;
const SPEC = "127.0.0.1:8083";
const SATURATE = { port: 8083, concurrency: 64, limit: 5_000_000 };
/** About one in 150 reloads loses a connection to the race. */
const RELOADS = 300;
/** Longer than a second: a listener that opens sooner belongs to the first generation. */
const START_MS = 1500;
/** Between two reloads: a sidecar on a busy machine sees the end of the last reload. */
const PAUSE_MS = 30;

test("--route newest loses no connection to the kernel's own race", {
  timeout: 300_000,
}, async (t) => {
  const restore = setSysctl("net.ipv4.tcp_migrate_req", 1);
  const sysctl = await saturate(t, "sysctl, no sidecar");
  restore();
  const kernel = await saturate(t, "--route kernel", "--route", "kernel");
  const newest = await saturate(t, "--route newest", "--route", "newest");
  assert.equal(lost(newest), 0);
  assert.ok(lost(newest) <= Math.min(lost(sysctl), lost(kernel)));
});

/** Reloads under saturation, with a sidecar if `args` has options for it. */
async function saturate(t: TestContext, run: string, ...args: string[]): Promise<Tally> {
  using server = await ReloadingServer.start(SERVER);
  await using sidecar = args.length
    ? await SidecarProcess.attach(SPEC, "--json", ...args)
    : undefined;
  using client = await LoadClient.start(SATURATE);
  await sleep(START_MS);
  for (let n = 1; n <= RELOADS; n++) {
    await sleep(PAUSE_MS);
    await sidecar?.logged("listener_closed", (n - 1) * SERVER.listeners);
    await server.reload("open");
    // Waits for the sidecar, as a saturated machine may be slower than a reload.
    await sidecar?.logged("listener_added", (n + 1) * SERVER.listeners);
    await sleep(OVERLAP_MS);
    await server.reload("close");
  }
  const tally = await client.stop();
  report(t, [{ run, reloads: RELOADS, tally }], sidecar && migrated(await sidecar.metrics()));
  await sidecar?.stop();
  assert.equal(tally.other, 0, "a client failed by itself");
  return tally;
}
