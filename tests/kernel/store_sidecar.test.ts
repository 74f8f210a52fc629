/** attach --store: hold and store in one process, and together. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FdStore } from "../../loader/index.ts";
import * as libc from "../../loader/sys/libc.ts";
import { socketAddress } from "../helpers/address.ts";
import { TempDir } from "../helpers/host/child.ts";
import { echoOn, outcomes, queueUp } from "../helpers/load/queue.ts";
import { promtoolCheck } from "../helpers/product/prometheus.ts";
import { SidecarProcess, samples, total } from "../helpers/product/sidecar.ts";

const PORT = 18330;

function listenReuseport(): number {
  const fd = libc.socket(
    libc.AF_INET,
    libc.SOCK_STREAM | libc.SOCK_CLOEXEC | libc.SOCK_NONBLOCK,
    0,
  );
  libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
  libc.bind(fd, socketAddress("127.0.0.1", PORT));
  libc.listen(fd, 100);
  return fd;
}

test("what expires in the store is held by the standby, and the next server gets it", async () => {
  using dir = new TempDir();
  const path = dir.file("store.sock");
  await using sidecar = await SidecarProcess.attach(
    ...[`127.0.0.1:${PORT}`, "--wait", "--hold", "30s", "--json"],
    ...["--metrics", "0", "--store", path],
  );
  const client = await FdStore.connect(path);
  const old = listenReuseport();
  await client.put("web", [old], { timeoutMs: 300 });
  libc.close(old);
  await sidecar.logged("attached", 1);
  const waiting = await queueUp(PORT, 20, "held");
  const fds = async () => samples(await sidecar.metrics(), "reuseport_migrate_store_fds");
  assert.deepEqual([...(await fds())], [['{name="web"}', 1]]);
  client.close();
  await sidecar.logged("store_expired", 1);
  await sidecar.logged("hold_started", 1);
  assert.equal((await fds()).size, 0);
  const text = await sidecar.metrics();
  assert.equal(total(text, "reuseport_migrate_store_expired_total"), 1);
  assert.deepEqual(promtoolCheck(text), { status: 0, output: "" });
  waiting.push(...(await queueUp(PORT, 20, "while nobody listens")));
  const stop = await echoOn(listenReuseport());
  assert.deepEqual(await outcomes(waiting), { ok: 40 });
  await stop();
  await sidecar.stop();
});
