/**
 * exec --restart: servers that nobody changed, restarted under load, refuse and reset nobody.
 * HOLD_CYCLES: how many restarts each (default 5; 50 for the soak).
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Child, TempDir } from "../helpers/host/child.ts";
import { connections, noVisits, type Tally, visit } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { ExecProcess } from "../helpers/product/exec.ts";
import { type PlainServer, SERVERS } from "./exec_servers.ts";
import { report } from "./scenario.ts";

const RESTARTS = Number(process.env["HOLD_CYCLES"] ?? 5);
const LOAD = { rate: 100, concurrency: 200, limit: 500_000 };
/** Between two restarts. */
const PAUSE_MS = 200;

const serves = (port: number) => async () => (await visit({ port, path: "/ready" })) === "ok";

/** Restarts as a plain supervisor does: stop, then start. */
async function stopThenStart({ port, command }: PlainServer): Promise<Tally> {
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

async function restartWithExec({ port, options, command }: PlainServer): Promise<Tally> {
  using dir = new TempDir();
  // A machine that runs four of these at once is slow to answer: let nobody be cut short.
  const args = [`127.0.0.1:${port}`, "--restart", "--drain", "30s", ...options];
  await using exec = new ExecProcess(args, command(dir));
  await exec.child.until("it serves", serves(port));
  using client = await LoadClient.start({ ...LOAD, port });
  for (let n = 1; n <= RESTARTS; n++) {
    await sleep(PAUSE_MS);
    exec.child.kill("SIGHUP");
    await exec.wrote(`start ${n + 1} listens`);
    await exec.wrote(`start ${n} ended`);
  }
  const tally = await client.stop();
  assert.equal(await exec.child.stop("SIGTERM"), 0, exec.output);
  assert.doesNotMatch(exec.output, /still has connections|SIGKILL/);
  return tally;
}

/** SIGKILL, again and again, to a server that exec starts again. */
async function crash({ port, command }: PlainServer, ...args: string[]): Promise<Tally> {
  using dir = new TempDir();
  await using exec = new ExecProcess([`127.0.0.1:${port}`, "--restart", ...args], command(dir));
  await exec.child.until("it serves", serves(port));
  using client = await LoadClient.start({ ...LOAD, port });
  for (let n = 1; n <= RESTARTS; n++) {
    await sleep(PAUSE_MS);
    for (const pid of exec.processes()) process.kill(pid, "SIGKILL");
    await exec.wrote(`start ${n} ended by SIGKILL`);
    await exec.wrote(`start ${n + 1} listens`);
  }
  return await client.stop();
}

test("a server that is killed refuses clients until it is back; exec --hold refuses nobody", {
  timeout: 120_000 + RESTARTS * 40_000,
}, async (t) => {
  const [server] = SERVERS;
  assert.ok(server);
  const without = await crash(server, "--hold", "0");
  report(t, [{ run: "SIGKILL, --hold 0", reloads: RESTARTS, tally: without }]);
  assert.ok(without.refused > 0);
  // The back-off grows to 5 s while a server keeps dying: a hold must bridge it, and the start.
  const tally = await crash(server, "--hold", "30s");
  report(t, [{ run: "SIGKILL, --hold 30s", reloads: RESTARTS, tally }]);
  assert.equal(tally.refused, 0);
});

describe("unmodified servers, restarted under load", { concurrency: SERVERS.length }, () => {
  // The kernel's own migration would hide what is measured here.
  after(setSysctl("net.ipv4.tcp_migrate_req", 0));

  for (const server of SERVERS) {
    const timeout = 60_000 + RESTARTS * 20_000;
    test(`${server.name}: stop, then start refuses; exec does not`, { timeout }, async (t) => {
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
