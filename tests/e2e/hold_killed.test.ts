/**
 * The sidecar is killed during a hold, and started again while no server listens: its keeper has the
 * standby meanwhile, so that no connection is lost, neither one that was held nor one that arrives
 * before the new sidecar is ready.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { lockHolder } from "../../loader/bpf/directory_lock.ts";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { Child, TempDir } from "../helpers/host/child.ts";
import { visit } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { queued } from "../helpers/net/accepted.ts";
import { runCli } from "../helpers/product/cli.ts";
import { keepers, keepersLeft } from "../helpers/product/keepers.ts";
import { holds, SidecarProcess } from "../helpers/product/sidecar.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";
import { cycles } from "./outages.ts";
import { Restartable } from "./restartable.ts";
import { recipe } from "./restartable_recipes.ts";
import { table } from "./scenario.ts";

const PORT = 8150;
const SPEC = `127.0.0.1:${PORT}`;
const LOAD = { port: PORT, rate: 100, concurrency: 2000, limit: Number.MAX_SAFE_INTEGER };
/** The least number of queued connections when the sidecar is killed; twice as many later. */
const HELD = 20;
const PAUSE_MS = 300;
const ROUNDS = cycles(3);

for (const [name, chosen, options] of [
  ["nginx", "by its address", []],
  ["Node", "by its cgroup, in which the keeper is not", ["--cgroup"]],
] as const) {
  test(`a sidecar killed during a hold of a server chosen ${chosen} loses no connection`, {
    timeout: 60_000 + ROUNDS * 10_000,
  }, async (t) => {
    await using scene = new CgroupScene("app");
    const where = { port: PORT, addresses: ["127.0.0.1"], under: scene.cgroup.under };
    await using server = new Restartable(recipe(name, where));
    await server.start();
    const filter = options.flatMap((option) => [option, scene.cgroup.path]);
    await using sidecar = await SidecarProcess.attach(SPEC, "--hold", "30s", ...filter);
    using load = await LoadClient.start(LOAD);
    const held: number[] = [];
    for (let n = 0; n < ROUNDS; n++) {
      await sleep(PAUSE_MS);
      await server.stop();
      held.push(await queued(PORT, HELD));
      await sidecar.kill();
      await queued(PORT, 2 * HELD); // by the keeper alone
      await sidecar.start();
      assert.equal(groupOf(PORT).hold?.holding, true);
      await server.start();
    }
    await sleep(PAUSE_MS);
    const tally = await load.stop();
    const ended = holds(await sidecar.metrics(), SPEC);
    table(t, "kills", [{ run: "killed during a hold", reloads: ROUNDS, tally }]);
    t.diagnostic(`held when it was killed: ${held.join(", ")}`);
    t.diagnostic(`holds: ${JSON.stringify(ended)}`);
    assert.deepEqual(load.losses, []);
    assert.deepEqual(ended, { started: ROUNDS, handed_over: ROUNDS, expired: 0, released: 0 });
    await sidecar.stop();
    await keepersLeft(0);
  });
}

test("a sidecar that does not hold ends the standby that a killed one has left", {
  timeout: 60_000,
}, async () => {
  await using server = new Restartable(recipe("nginx", { port: PORT, addresses: ["127.0.0.1"] }));
  await server.start();
  await using holding = await SidecarProcess.attach(SPEC, "--hold", "30s");
  await holding.kill();
  const standbys = () => groupOf(PORT).listeners.filter(({ role }) => role === "standby").length;
  assert.equal(standbys(), 1);
  await using sidecar = await SidecarProcess.attach(SPEC);
  await keepersLeft(0);
  assert.equal(standbys(), 0);
  const visits = Array.from({ length: 50 }, () => visit({ port: PORT, path: "/" }));
  assert.deepEqual(new Set(await Promise.all(visits)), new Set(["ok"]));
  await sidecar.stop();
});

test("detach --all ends the keepers of its bpf file system, and no others", {
  timeout: 60_000,
}, async () => {
  await using server = new Restartable(recipe("nginx", { port: PORT, addresses: ["127.0.0.1"] }));
  await server.start();
  await using sidecar = await SidecarProcess.attach(SPEC, "--hold", "30s");
  await sidecar.kill();
  using dir = new TempDir();
  execFileSync("mount", ["-t", "bpf", "-o", "mode=0700", "bpf", dir.path]);
  try {
    mkdirSync(dir.file("reuseport-migrate"), { mode: 0o700 });
    const other = await runCli(["detach", "--all", "--bpffs", dir.path]);
    assert.equal(other.code, 0, other.stderr);
    assert.equal(keepers().length, 1);
  } finally {
    execFileSync("umount", [dir.path]);
  }
  assert.equal((await runCli(["detach", "--all"])).code, 0);
  await keepersLeft(0);
});

test("a group that the next sidecar is refused at first is held until it takes it over", {
  timeout: 120_000,
}, async () => {
  const ports = [PORT, PORT + 1] as const;
  const specs = ports.map((port) => `127.0.0.1:${port}`);
  const serve = (port: number) =>
    new Restartable(recipe("nginx", { port, addresses: ["127.0.0.1"] }));
  await using first = serve(ports[0]);
  await using second = serve(ports[1]);
  using dir = new TempDir();
  const visits = (port: number) =>
    Promise.all(Array.from({ length: 5 }, () => visit({ port, path: "/held" })));
  const served = Array.from({ length: 5 }, () => "ok");
  await Promise.all([first.start(), second.start()]);
  await using sidecar = await SidecarProcess.attach(...specs, "--hold", "60s");
  await Promise.all([first.stop(), second.stop()]);
  const [heldFirst, heldSecond] = ports.map(visits);
  for (const port of ports) await queued(port, 5);
  await sidecar.kill();
  const pins = `/sys/fs/bpf/reuseport-migrate/${groupOf(ports[1]).name}`;
  await using lock = new Child("flock", ["-F", pins, "sleep", "1000"], dir.file("lock"));
  await until("the group is locked", () => lockHolder(pins) !== null);
  await sidecar.start();
  assert.match(sidecar.output(), /another reuseport-migrate holds the lock; trying again/);
  assert.equal(keepers().length, 2, "the keeper of the refused group was ended");
  await first.start(); // although that keeper has its standby, too
  assert.deepEqual(await heldFirst, served);
  await lock.stop();
  await until("the refused group is taken over", () => groupOf(ports[1]).sidecar === sidecar.pid);
  await keepersLeft(1);
  await second.start();
  assert.deepEqual(await heldSecond, served);
  await sidecar.stop();
});

/** A cgroup that exists until it is disposed. */
class CgroupScene implements AsyncDisposable {
  readonly cgroup: TestCgroup;
  #remove: () => unknown = () => {};

  constructor(name: string) {
    const defer = (remove: () => unknown) => {
      this.#remove = remove;
    };
    this.cgroup = new TestCgroup({ defer }, name).create();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#remove();
  }
}
