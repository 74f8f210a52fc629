/** store --systemd: what it holds outlives it, in systemd's own fd store. */
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { FdStore } from "../../loader/index.ts";
import * as libc from "../../loader/sys/libc.ts";
import { echoOn, outcomes, queueUp } from "../helpers/load/queue.ts";
import { until } from "../helpers/until.ts";
import { Manager } from "./service_manager.ts";

const PORT = 18320;

for (const [signal, how] of [
  ["SIGTERM", 0],
  ["SIGKILL", "SIGKILL"],
] as const) {
  test(`a listener and its queue survive the store's ${signal}`, async () => {
    await using manager = new Manager();
    await manager.start();
    const client = await FdStore.connect(manager.path);
    libc.close(await client.listen("web", `127.0.0.1:${PORT}`, { timeoutMs: 60_000 }));
    client.close();
    const waiting = await queueUp(PORT, 10, signal);
    assert.equal(await manager.end(signal), how);
    assert.deepEqual(manager.fdNames, ["web;0/1;60000;x"]);
    waiting.push(...(await queueUp(PORT, 10, "while the store is away")));

    await manager.start();
    using next = await FdStore.connect(manager.path);
    const [web] = await next.list();
    assert.deepEqual([web?.timeoutMs, web?.fds[0]?.queue], [60_000, 20]);
    const stop = await echoOn(await next.listen("web", `127.0.0.1:${PORT}`));
    assert.deepEqual(await outcomes(waiting), { ok: 20 });
    // Dropped is dropped there too: nothing else would free the port.
    await next.drop("web");
    await until("systemd closes it", () => manager.fdNames.length === 0);
    await stop();
  });
}

test("several under one name come back in their order, shared as they were; expired ones do not", async () => {
  await using manager = new Manager();
  await manager.start();
  {
    using client = await FdStore.connect(manager.path);
    const fds = ["/dev/null", "/dev/zero", "/dev/full"].map((path) => openSync(path, "r"));
    await client.put("devices", fds, { shared: true, timeoutMs: 60_000 });
    await client.put("short", fds.slice(0, 1), { timeoutMs: 1 });
    await client.put("replaced", fds.slice(0, 2), { timeoutMs: 60_000 });
    await client.put("replaced", fds.slice(2), { timeoutMs: 60_000 });
    await client.put("taken", fds.slice(2), { timeoutMs: 60_000 });
    closeSync((await client.take("taken"))?.[0] ?? -1);
    for (const fd of fds) closeSync(fd);
  }
  const names = [
    "devices;0/3;60000;s",
    "devices;1/3;60000;s",
    "devices;2/3;60000;s",
    "replaced;0/1;60000;x",
  ];
  await until("the short one expired", () => manager.fdNames.join() === names.join());
  assert.equal(await manager.end("SIGKILL"), "SIGKILL");
  await manager.start();
  using next = await FdStore.connect(manager.path);
  const found = (await next.list()).map(({ name, shared, fds }) => [
    name,
    shared,
    fds.map((fd) => fd.address),
  ]);
  assert.deepEqual(found, [
    ["devices", true, ["/dev/null", "/dev/zero", "/dev/full"]],
    ["replaced", false, ["/dev/full"]],
  ]);
});

test("half a deposit is no deposit, and what is not the store's is left alone", async () => {
  await using manager = new Manager();
  const fd = openSync("/dev/null", "r");
  await manager.start({ "web;1/2;500;x": fd, "some-socket": fd });
  using client = await FdStore.connect(manager.path);
  assert.deepEqual(await client.list(), []);
  closeSync(fd);
});

test("a new timeout of a taker is systemd's too", async () => {
  await using manager = new Manager();
  await manager.start();
  using client = await FdStore.connect(manager.path);
  const fd = openSync("/dev/null", "r");
  await client.put("x", [fd], { timeoutMs: 60_000 });
  closeSync((await client.take("x", { keep: true, timeoutMs: 50_000 }))?.[0] ?? -1);
  closeSync(fd);
  await until("it is told", () => manager.fdNames.join() === "x;0/1;50000;x");
});
