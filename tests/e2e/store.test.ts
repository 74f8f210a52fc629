/**
 * Servers without SO_REUSEPORT, stopped and then started under load: old and new never run
 * together.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Child, TempDir } from "../helpers/host/child.ts";
import { childrenOf } from "../helpers/host/processes.ts";
import { connections, noVisits, type Tally, visit } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { isRunning } from "../helpers/product/exec.ts";
import { promtoolCheck } from "../helpers/product/prometheus.ts";
import { EXAMPLES, StoreProcess } from "../helpers/product/store.ts";
import { haproxyConfig } from "../helpers/servers/haproxy.ts";
import { nginxArgs, nginxConfig } from "../helpers/servers/nginx.ts";
import { report } from "./scenario.ts";

const LOAD = { rate: 150, concurrency: 300, limit: 500_000 };
const STOPS = 2;
/** Between two stops, and between a stop and the start after it. */
const PAUSE_MS = 200;
const EXAMPLE = join(EXAMPLES, "listen_fds.mjs");

interface Server {
  readonly port: number;
  start(): Child;
  readonly signal: NodeJS.Signals;
}

/** Stops and starts a server under load; returns the tally of the clients. */
async function stopAndStart({ port, start, signal }: Server): Promise<Tally> {
  const serves = async () => (await visit({ port, path: "/ready" })) === "ok";
  let server = start();
  try {
    await server.until("it serves", serves);
    using client = await LoadClient.start({ ...LOAD, port });
    for (let n = 0; n < STOPS; n++) {
      await sleep(PAUSE_MS);
      const family = [server.pid, ...childrenOf(server.pid)];
      await server.stop(signal);
      assert.ok(!family.some(isRunning), "the old server still runs");
      await sleep(PAUSE_MS);
      server = start();
      await server.until("it serves", serves);
    }
    await sleep(PAUSE_MS);
    return await client.stop();
  } finally {
    await server.stop(signal);
  }
}

function assertAllServed(t: TestContext, run: string, tally: Tally): void {
  report(t, [{ run, reloads: STOPS, tally }]);
  assert.deepEqual(tally, { ...noVisits(), ok: connections(tally) });
  assert.ok(tally.ok > 0);
}

describe("a server stopped, then started, under load", { concurrency: 3 }, () => {
  test("a Node server without the store refuses connections", {
    timeout: 60_000,
  }, async (t) => {
    using dir = new TempDir();
    const port = 18340;
    const start = () =>
      new Child("env", [`PORT=${port}`, process.execPath, EXAMPLE], dir.file("log"));
    const tally = await stopAndStart({ port, start, signal: "SIGTERM" });
    report(t, [{ run: "Node: stop, then start", reloads: STOPS, tally }]);
    assert.ok(tally.refused > 0);
  });

  test("a Node server run by store exec refuses no connection", { timeout: 60_000 }, async (t) => {
    const port = 18341;
    await using store = await StoreProcess.start(["--metrics", "0"]);
    const args = ["--name", "web", "--tcp", `127.0.0.1:${port}`, "--", process.execPath, EXAMPLE];
    const start = () => store.spawn("exec", ...args);
    assertAllServed(t, "Node: store exec", await stopAndStart({ port, start, signal: "SIGTERM" }));

    const text = await (await fetch(store.metricsUrl)).text();
    assert.deepEqual(promtoolCheck(text), { status: 0, output: "" });
    assert.match(text, /^reuseport_migrate_store_fds\{name="web"\} 1$/m);
    assert.match(text, new RegExp(`^reuseport_migrate_store_taken_total ${STOPS}$`, "m"));
  });

  test("a killed server and a killed store exec leave the listener in the store", {
    timeout: 60_000,
  }, async () => {
    const port = 18342;
    await using store = await StoreProcess.start();
    const args = ["--name", "web", "--tcp", `127.0.0.1:${port}`, "--", process.execPath, EXAMPLE];
    const serves = async () => (await visit({ port, path: "/ready" })) === "ok";
    using client = await (async () => {
      const first = store.spawn("exec", ...args);
      await first.until("it serves", serves);
      const load = await LoadClient.start({ ...LOAD, port });
      const [server = 0] = childrenOf(first.pid);
      process.kill(server, "SIGKILL");
      assert.equal(await first.exited, 137);
      return load;
    })();
    await sleep(PAUSE_MS);
    const second = store.spawn("exec", ...args);
    await second.until("it serves", serves);
    const [orphan = 0] = childrenOf(second.pid);
    await second.stop("SIGKILL");
    process.kill(orphan, "SIGKILL");
    await sleep(PAUSE_MS);
    const third = store.spawn("exec", ...args);
    await third.until("it serves", serves);
    const tally = await client.stop();
    assert.equal(tally.refused, 0);
    assert.equal(await third.stop("SIGTERM"), 0);
  });

  test("a server that uses FdStore refuses no connection", { timeout: 60_000 }, async (t) => {
    const port = 18343;
    await using store = await StoreProcess.start();
    const args = [join(EXAMPLES, "fd_store.mjs"), store.path, `127.0.0.1:${port}`];
    const start = () => new Child(process.execPath, args, store.dir.file("server"));
    assertAllServed(t, "Node: FdStore", await stopAndStart({ port, start, signal: "SIGTERM" }));
  });

  test("packaged HAProxy (fd@) and nginx (NGINX=) refuse no connection", {
    timeout: 60_000,
  }, async (t) => {
    await using store = await StoreProcess.start();
    using dir = new TempDir();
    const exec = (name: string, port: number, ...command: string[]) =>
      store.spawn("exec", "--name", name, "--tcp", `127.0.0.1:${port}`, "--", ...command);

    writeFileSync(dir.file("haproxy.cfg"), haproxyConfig(["fd@3"], 2));
    const haproxy = () => exec("haproxy", 18344, "haproxy", "-db", "-f", dir.file("haproxy.cfg"));
    const haproxyTally = await stopAndStart({ port: 18344, start: haproxy, signal: "SIGUSR1" });
    assertAllServed(t, "HAProxy: store exec", haproxyTally);

    // Without reuseport: nginx looks for this address among the sockets it inherits.
    writeFileSync(dir.file("nginx.conf"), nginxConfig(["127.0.0.1:18345"], 2));
    const line = ["env", "NGINX=3;", "nginx", ...nginxArgs(dir.path)];
    const nginx = () => exec("nginx", 18345, ...line);
    const nginxTally = await stopAndStart({ port: 18345, start: nginx, signal: "SIGQUIT" });
    assertAllServed(t, "nginx: store exec", nginxTally);
  });
});
