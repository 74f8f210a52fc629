/**
 * The kernel's own race: a final ACK that is being processed while its listener
 * closes is reset without asking anybody. `--route newest` leaves no handshake
 * on a listener that closes. Measured under saturation, in three ways.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { lost, type Tally } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { migrated, SidecarProcess } from "../helpers/product/sidecar.ts";
import { EchoServer } from "../helpers/servers/reuseport_server.ts";
import { report } from "./scenario.ts";

const SERVER = { port: 8083, listeners: 4 };
/** As in real reloads, the new listeners are there some ms before the old ones close. */
const OVERLAP_MS = 30;
const SPEC = "127.0.0.1:8083";
const SATURATE = { port: 8083, concurrency: 64, limit: 5_000_000 };
/** About one in 150 loses a connection to the race. */
const RELOADS = 300;
/** What opens sooner than a second after the start belongs to the first generation. */
const START_MS = 1500;
/** Between two reloads: enough for a sidecar on a busy machine to see the end of the last one. */
const PAUSE_MS = 30;

test("--route newest loses no more than the kernel", { timeout: 300_000 }, async (t) => {
  const restore = setSysctl("net.ipv4.tcp_migrate_req", 1);
  const sysctl = await saturate(t, "sysctl, no sidecar");
  restore();
  const kernel = await saturate(t, "--route kernel", "--route", "kernel");
  const newest = await saturate(t, "--route newest", "--route", "newest");
  assert.equal(lost(newest), 0);
  assert.ok(lost(newest) <= Math.min(lost(sysctl), lost(kernel)));
});

/** Reloads under saturation, with a sidecar if there are arguments for one. */
async function saturate(t: TestContext, run: string, ...args: string[]): Promise<Tally> {
  using server = await EchoServer.start(SERVER);
  await using sidecar = args.length
    ? await SidecarProcess.attach(SPEC, "--json", ...args)
    : undefined;
  using client = await LoadClient.start(SATURATE);
  await sleep(START_MS);
  for (let n = 1; n <= RELOADS; n++) {
    await sleep(PAUSE_MS);
    await sidecar?.logged("listener_closed", (n - 1) * SERVER.listeners);
    await server.reload("open");
    // A saturated machine may be slower than a reload: what is measured begins with the steering.
    await sidecar?.logged("listener_added", (n + 1) * SERVER.listeners);
    await sleep(OVERLAP_MS);
    await server.reload("close");
  }
  const tally = await client.stop();
  report(t, [{ run, reloads: RELOADS, tally }], sidecar && migrated(await sidecar.metrics()));
  await sidecar?.stop();
  assert.equal(tally.other, 0, "the clients failed by themselves");
  return tally;
}
