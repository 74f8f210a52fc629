/** The fd store: what is put comes back with everything on it, once, in time, or is closed. */
import assert from "node:assert/strict";
import { closeSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { parseSpec } from "../../loader/index.ts";
import { listenOn } from "../../loader/store/client_listen.ts";
import * as libc from "../../loader/sys/libc.ts";
import { socketAddress } from "../helpers/address.ts";
import { openFds } from "../helpers/host/fds.ts";
import { echoOn, outcomes, queueUp } from "../helpers/load/queue.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { StoreProcess } from "../helpers/product/store.ts";
import { until } from "../helpers/until.ts";

const PORT = 18300;
const WHERE = `127.0.0.1:${PORT}`;

let store: StoreProcess;
before(async () => {
  store = await StoreProcess.start();
});
after(() => store[Symbol.asyncDispose]());

async function refused(port: number): Promise<boolean> {
  const [outcome] = await queueUp(port, 1, "probe").then((all) =>
    Promise.all(all.map((it) => it.outcome)),
  );
  return outcome === "ECONNREFUSED";
}

test("1,000 queued connections are handed over twice with their data", {
  timeout: 60_000,
}, async () => {
  const waiting = [];
  // Each start opens or takes it, gets connections it never accepts, and is gone before the next.
  for (const [start, count] of [400, 300, 300].entries()) {
    const client = await store.connect();
    const fd = await client.listen("web", WHERE);
    waiting.push(...(await queueUp(PORT, count, `start ${start}`)));
    const [web] = await client.list();
    assert.equal(web?.fds[0]?.queue, waiting.length);
    client.close();
    libc.close(fd);
  }
  const last = await store.connect();
  const stop = await echoOn(await last.listen("web", WHERE));
  assert.deepEqual(await outcomes(waiting), { ok: 1000 });
  await stop();
  assert.equal(await last.drop("web"), 1);
});

test("without the store they are reset", async () => {
  const fd = listenOn(parseSpec(WHERE));
  const waiting = await queueUp(PORT, 50, "alone");
  libc.close(fd);
  assert.deepEqual(await outcomes(waiting), { ECONNRESET: 50 });
  assert.ok(await refused(PORT));
});

describe("what nobody takes", () => {
  async function deposit(store: StoreProcess, timeoutMs: number) {
    const client = await store.connect();
    libc.close(await client.listen("web", WHERE, { timeoutMs }));
    const waiting = await queueUp(PORT, 20, "late");
    return { client, waiting };
  }

  test("is closed after its time, which runs from the depositor's end", async () => {
    const { client, waiting } = await deposit(store, 400);
    const other = await store.connect();
    await new Promise((resolve) => setTimeout(resolve, 500)); // longer than its time: it is held
    assert.equal((await other.list())[0]?.leftMs, null);
    client.close();
    const left = await until("its time runs", async () => (await other.list())[0]?.leftMs ?? null);
    assert.ok(left > 0 && left <= 400, String(left));
    assert.deepEqual(await outcomes(waiting), { ECONNRESET: 20 });
    assert.ok(await refused(PORT));
    assert.deepEqual(await other.list(), []);
  });

  test("is closed by drop, whoever holds it", async () => {
    const { client, waiting } = await deposit(store, 60_000);
    client.close();
    const other = await store.connect();
    assert.equal(await other.drop("web"), 1);
    assert.deepEqual(await outcomes(waiting), { ECONNRESET: 20 });
    assert.ok(await refused(PORT));
    await assert.rejects(other.drop("web"), { name: "NoMatchError" });
  });

  test("is closed by the store's end", async () => {
    await using other = await StoreProcess.start();
    const { client, waiting } = await deposit(other, 60_000);
    client.close();
    await other.stop();
    assert.deepEqual(await outcomes(waiting), { ECONNRESET: 20 });
  });
});

for (const [migrate, expected] of [
  [1, { ok: 20 }],
  [0, { ECONNRESET: 20 }],
] as const) {
  test(`dropped in a reuseport group, tcp_migrate_req=${migrate}: ${JSON.stringify(expected)}`, async () => {
    const restore = setSysctl("net.ipv4.tcp_migrate_req", migrate);
    const port = PORT + 1 + migrate; // no connection that other tests left in TIME_WAIT
    const client = await store.connect();
    const old = listenReuseport(port);
    await client.put("web", [old]);
    libc.close(old);
    const waiting = await queueUp(port, 20, "moves");
    client.close();
    const stop = await echoOn(listenReuseport(port));
    assert.equal(await (await store.connect()).drop("web"), 1);
    assert.deepEqual(await outcomes(waiting), expected);
    await stop();
    restore();
  });
}

function listenReuseport(port: number): number {
  const fd = libc.socket(
    libc.AF_INET,
    libc.SOCK_STREAM | libc.SOCK_CLOEXEC | libc.SOCK_NONBLOCK,
    0,
  );
  libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
  libc.bind(fd, socketAddress("127.0.0.1", port));
  libc.listen(fd, 100);
  return fd;
}

test("a file, a pipe and a UDP socket too, under one name, in their order", async () => {
  const client = await store.connect();
  const path = store.dir.file("data");
  writeFileSync(path, "0123456789");
  const file = openSync(path, "r");
  readSync(file, Buffer.alloc(4)); // the offset goes with it
  const pipe = openSync(store.fifo(), "r+");
  writeSync(pipe, "in the pipe");
  const udp = libc.socket(libc.AF_INET, libc.SOCK_DGRAM | libc.SOCK_CLOEXEC, 0);
  libc.bind(udp, socketAddress("127.0.0.1", PORT));
  await client.put("all", [file, pipe, udp]);
  client.close();
  for (const fd of [file, pipe, udp]) libc.close(fd);

  const other = await store.connect();
  const [all] = await other.list();
  assert.deepEqual(
    all?.fds.map(({ type, address, listening }) => [type, address, listening]),
    [
      ["file", path, false],
      ["pipe", store.fifo(), false],
      ["udp", WHERE, false],
    ],
  );
  const [a = -1, b = -1, c = -1] = (await other.take("all")) ?? [];
  const read = (fd: number) => {
    const data = Buffer.alloc(100);
    return data.toString("utf8", 0, readSync(fd, data));
  };
  assert.equal(read(a), "456789");
  assert.equal(read(b), "in the pipe");
  assert.equal(libc.localPort(c), PORT);
  for (const fd of [a, b, c]) closeSync(fd);
  assert.deepEqual(await other.list(), []);
});

test("two takers never get the same, unless it was put as shared", async () => {
  const [depositor, ...takers] = await Promise.all(
    Array.from({ length: 9 }, () => store.connect()),
  );
  assert.ok(depositor);
  const fd = openSync("/dev/null", "r");
  for (const shared of [false, true]) {
    await depositor.put("x", [fd], { shared });
    const got = await Promise.allSettled(takers.map((taker) => taker.take("x")));
    const taken = got.flatMap((it) => (it.status === "fulfilled" && it.value ? it.value : []));
    assert.equal(taken.length, shared ? 8 : 1);
    for (const copy of taken) closeSync(copy);
  }
  await depositor.drop("x");
  closeSync(fd);
});

test("10,000 puts and takes leave no file descriptor behind", { timeout: 120_000 }, async (t) => {
  const client = await store.connect();
  const fd = openSync("/dev/null", "r");
  const cycle = async () => {
    await client.put("x", [fd, fd]);
    for (const copy of (await client.take("x")) ?? []) closeSync(copy);
  };
  for (let i = 0; i < 100; i++) await cycle();
  const before = { ours: openFds().length, its: store.fdCount() };
  const startMs = performance.now();
  for (let i = 0; i < 10_000; i++) await cycle();
  t.diagnostic(`${Math.round((performance.now() - startMs) / 10)} us a put and a take`);
  assert.deepEqual({ ours: openFds().length, its: store.fdCount() }, before);
  closeSync(fd);
});

test("limits are those of the command line, and are counted", async () => {
  await using store = await StoreProcess.start([
    "--max-names",
    "1",
    "--max-fds",
    "3",
    "--metrics",
    "0",
  ]);
  const client = await store.connect();
  const fd = openSync("/dev/null", "r");
  await client.put("a", [fd, fd]);
  await assert.rejects(client.put("b", [fd]), { reason: "names" });
  await assert.rejects(client.put("a", [fd, fd, fd, fd]), { reason: "fds" });
  await client.put("a", [fd, fd, fd]);
  closeSync(fd);
  const text = await (await fetch(store.metricsUrl)).text();
  assert.match(text, /^reuseport_migrate_store_fds\{name="a"\} 3$/m);
  assert.match(text, /^reuseport_migrate_store_refused_total\{reason="names"\} 1$/m);
  assert.match(text, /^reuseport_migrate_store_refused_total\{reason="fds"\} 1$/m);
  assert.match(text, /^reuseport_migrate_store_dropped_total 2$/m); // replaced
  assert.match(text, /^process_open_fds \d+$/m);
  for (const line of text.split("\n")) assert.match(line, /^(|# .*|[a-z_]+(\{.*\})? [-0-9.e+]+)$/);
});

test("a list that is longer than a message comes in pages", async () => {
  await using store = await StoreProcess.start(["--max-names", "400"]);
  const client = await store.connect();
  const fd = openSync("/dev/null", "r");
  const names = Array.from({ length: 400 }, (_, i) => `name-${String(i).padStart(120, "0")}`);
  for (const name of names) await client.put(name, [fd]);
  closeSync(fd);
  assert.deepEqual(
    (await client.list()).map(({ name }) => name),
    names,
  );
});
