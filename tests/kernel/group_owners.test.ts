/** What owns a group, as the cgroups of its processes say: in the log, status and /metrics. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

const ID = "0123456789abcdef".repeat(4);
const POD = "2f48b1ea-0c1e-4b0b-8a55-6d1c0d8b3f10";

const infos = async (sidecar: SidecarProcess): Promise<string[]> =>
  (await sidecar.metrics())
    .split("\n")
    .filter((line) => line.startsWith("reuseport_migrate_group_owner_info{"))
    .map((line) => /\{(.*?),?service=/.exec(line)?.[1] ?? "");

const listenIn = async (s: Scene, cgroup: TestCgroup) => {
  const owner = await s.process(cgroup.under);
  await s.listener({}, owner);
  return owner;
};

test(
  "a group names the units, containers and pods of its processes, each once, and not its standby",
  scene(async (s) => {
    const unit = new TestCgroup(s, `web-${s.port}.service`).create();
    const pod = new TestCgroup(s, `kubepods-pod${POD.replaceAll("-", "_")}.slice`).create();
    const container = new TestCgroup(s, `cri-containerd-${ID}.scope`, pod.directory).create();
    await listenIn(s, unit);
    await listenIn(s, unit);
    await using sidecar = await SidecarProcess.attach(s.spec, "--hold", "10s");
    assert.ok(
      sidecar.output().includes(` of web-${s.port}.service: 2 listeners`),
      sidecar.output(),
    );
    assert.deepEqual(await infos(sidecar), [`unit="web-${s.port}.service"`]);
    await listenIn(s, container);
    const all = [`unit="web-${s.port}.service"`, `container="${ID}",pod="${POD}"`];
    await until("both are shown", async () => `${await infos(sidecar)}` === `${all}`);
    const { stdout } = await runCli(["status"]);
    assert.ok(
      stdout.includes(`owned by web-${s.port}.service; kubernetes 0123456789ab, pod`),
      stdout,
    );
    const { groups } = JSON.parse((await runCli(["status", "--json"])).stdout);
    assert.deepEqual(groups[0].owned_by, [
      { unit: `web-${s.port}.service`, container: null, pod: null },
      { unit: null, container: ID, pod: POD },
    ]);
    await sidecar.stop();
  }),
);

test(
  "a process that moves to another cgroup is shown where it was, until a listener comes or leaves",
  scene(async (s) => {
    const [before, after] = ["before", "after"].map((name) => {
      return new TestCgroup(s, `${name}-${s.port}.service`).create();
    }) as [TestCgroup, TestCgroup];
    const owner = await listenIn(s, before);
    await using sidecar = await SidecarProcess.attach(s.spec);
    writeFileSync(join(after.directory, "cgroup.procs"), String(owner.pid));
    assert.deepEqual(await infos(sidecar), [`unit="before-${s.port}.service"`]);
    await s.listener({}, owner);
    const now = `unit="after-${s.port}.service"`;
    await until("the new unit is shown", async () => `${await infos(sidecar)}` === now);
    await sidecar.stop();
  }),
);

test(
  "a cgroup that names nothing is no series, and no line of status",
  scene(async (s) => {
    await listenIn(s, new TestCgroup(s, `plain-${s.port}`).create());
    await using sidecar = await SidecarProcess.attach(s.spec);
    assert.deepEqual(await infos(sidecar), []);
    assert.doesNotMatch((await runCli(["status"])).stdout, /owned by/);
    await sidecar.stop();
  }),
);

test(
  "processes of more units than eight: eight are shown",
  scene(async (s) => {
    for (let n = 0; n < 10; n++) {
      await listenIn(s, new TestCgroup(s, `n${n}-${s.port}.service`).create());
    }
    await using sidecar = await SidecarProcess.attach(s.spec);
    assert.equal((await infos(sidecar)).length, 8);
    await sidecar.stop();
  }),
);
