/**
 * exec --restart: unmodified servers, restarted under load, refuse and reset no connection.
 * HOLD_CYCLES: the number of restarts of each server (default 5; 50 for the soak).
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Child, TempDir } from "../helpers/host/child.ts";
import { connections, noVisits, type Tally, visit } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { ExecProcess } from "../helpers/product/exec.ts";
import { type OrdinaryServer, SERVERS } from "./exec_servers.ts";
import { report } from "./scenario.ts";

const RESTARTS = Number(process.env["HOLD_CYCLES"] ?? 5);
const LOAD = { rate: 100, concurrency: 200, limit: 500_000 };
/** Between two restarts. */
const PAUSE_MS = 200;

const serves = (port: number) => async () => (await visit({ port, path: "/ready" })) === "ok";

/** Restarts as an ordinary supervisor does: stop, then start. */
async function stopThenStart({ port, command }: OrdinaryServer): Promise<Tally> {
  using dir = new TempDir();
  const [name = "", ...args] = command(dir);
  const start = () => new Child(name, args, dir.file("output"));
  let server = start();
  try {
    await server.until("it serves", serves(port));
    using client = await LoadClient.start({ ...LOAD, port });
    for (let n = 1; n <= RESTARTS; n++) {
      await sleep(PAUSE_MS);
      await server.stop("SIGTERM");
      server = start();
      await server.until("it serves", serves(port));
    }
    return await client.stop();
  } finally {
    await server.stop("SIGTERM");
  }
}

async function restartWithExec({ port, options, command }: OrdinaryServer): Promise<Tally> {
  using dir = new TempDir();
  // Long, as the machine is slow to answer when it runs four of these at once.
  const args = [`127.0.0.1:${port}`, "--restart", "--drain", "30s", ...options];
  await using exec = new ExecProcess(args, command(dir));
  await exec.child.until("it serves", serves(port));
  using client = await LoadClient.start({ ...LOAD, port });
  for (let n = 1; n <= RESTARTS; n++) {
    await sleep(PAUSE_MS);
    exec.child.kill("SIGHUP");
    await exec.wrote(`start ${n + 1} is ready`);
    await exec.wrote(`start ${n} ended`);
  }
  const tally = await client.stop();
  assert.equal(await exec.child.stop("SIGTERM"), 0, exec.output);
  assert.doesNotMatch(exec.output, /still has connections|SIGKILL/);
  return tally;
}

/** Kills a server with SIGKILL after each start by exec. */
async function crash({ port, command }: OrdinaryServer, ...args: string[]): Promise<Tally> {
  using dir = new TempDir();
  await using exec = new ExecProcess([`127.0.0.1:${port}`, "--restart", ...args], command(dir));
  await exec.child.until("it serves", serves(port));
  using client = await LoadClient.start({ ...LOAD, port });
  for (let n = 1; n <= RESTARTS; n++) {
    await sleep(PAUSE_MS);
    for (const pid of exec.processes()) process.kill(pid, "SIGKILL");
    await exec.wrote(`start ${n} ended by SIGKILL`);
    await exec.wrote(`start ${n + 1} is ready`);
  }
  return await client.stop();
}

test("a killed server refuses connections until exec restarts it; with --hold it refuses none", {
  timeout: 120_000 + RESTARTS * 40_000,
}, async (t) => {
  const [server] = SERVERS;
  assert.ok(server);
  const without = await crash(server, "--hold", "0");
  report(t, [{ run: "SIGKILL, --hold 0", reloads: RESTARTS, tally: without }]);
  assert.ok(without.refused > 0);
  // The hold must last for the back-off, which grows to 5 s, and for the start.
  const tally = await crash(server, "--hold", "30s");
  report(t, [{ run: "SIGKILL, --hold 30s", reloads: RESTARTS, tally }]);
  assert.equal(tally.refused, 0);
});

describe("an unmodified server, restarted under load", { concurrency: SERVERS.length }, () => {
  // The kernel's own migration would hide the losses.
  after(setSysctl("net.ipv4.tcp_migrate_req", 0));

  for (const server of SERVERS) {
    const timeout = 60_000 + RESTARTS * 20_000;
    test(`${server.name}: stop and start refuse connections; exec refuses none`, {
      timeout,
    }, async (t) => {
      const without = await stopThenStart(server);
      report(t, [{ run: `${server.name}: stop, then start`, reloads: RESTARTS, tally: without }]);
      assert.ok(without.refused > 0);
      const tally = await restartWithExec(server);
      report(t, [{ run: `${server.name}: exec`, reloads: RESTARTS, tally }]);
      assert.deepEqual(tally, { ...noVisits(), ok: connections(tally) });
      assert.ok(tally.ok > 0);
    });
  }
});
