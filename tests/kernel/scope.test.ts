/** Which network namespaces a SPEC covers, and how they are told apart. */
import assert from "node:assert/strict";
import { mkdirSync, rmdirSync, rmSync } from "node:fs";
import { describe, test } from "node:test";
import { netnsInode, readStatus } from "../../loader/index.ts";
import { TestNetns } from "../helpers/net/netns.ts";
import { runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";

const OWN = netnsInode("/proc/self/ns/net");
const namespaces = () => readStatus({ bpffs: BPFFS }).groups.map(({ key }) => key.netns);

/** A listener on the scene's port here, and one in another namespace. */
async function both(s: Scene): Promise<TestNetns> {
  const netns = await TestNetns.make(s);
  await s.listener({}, await s.process(netns.under));
  await s.listener();
  return netns;
}

describe("a SPEC without --netns", () => {
  test(
    "covers the sidecar's own network namespace only",
    scene(async (s) => {
      await both(s);
      await using sidecar = await SidecarProcess.attach(`:${s.port}`, "--wait");
      assert.deepEqual(namespaces(), [OWN]);
      const metrics = await sidecar.metrics();
      assert.doesNotMatch(metrics, /netns="(?!own")/);
      await sidecar.stop();
    }),
  );

  test(
    "says that --netns all covers the others",
    scene(async (s) => {
      const netns = await TestNetns.make(s);
      await s.listener({}, await s.process(netns.under));
      const { code, stderr } = await runCli(["attach", s.spec]);
      assert.equal(code, 4, stderr);
      assert.match(
        stderr,
        new RegExp(`network namespace \\(${netns.inode}; --netns all covers it`),
      );
    }),
  );
});

test(
  "--netns all covers every namespace; the log, status and metrics name each by its path",
  scene(async (s) => {
    const netns = await both(s);
    const path = `/run/netns/${s.port}`;
    const isNew = mkdirSync("/run/netns", { recursive: true }) !== undefined;
    s.defer(() => isNew && rmdirSync("/run/netns"));
    s.defer(() => rmSync(path));
    netns.mount(s, path);
    await using sidecar = await SidecarProcess.attach(`:${s.port}`, "--netns", "all");
    assert.deepEqual(namespaces().toSorted(), [OWN, netns.inode].toSorted());
    const place = `127.0.0.1:${s.port} in netns ${path} (${netns.inode})`;
    assert.ok(sidecar.output().includes(`attached ${place}: 1 listener`), sidecar.output());
    assert.ok(sidecar.output().includes(`attached 127.0.0.1:${s.port}: 1 listener`));
    assert.match(await sidecar.metrics(), new RegExp(`netns="${path}"`));
    const text = await runCli(["status"]);
    assert.ok(text.stdout.includes(`netns ${path} (${netns.inode})`), text.stdout);
    const { groups } = JSON.parse((await runCli(["status", "--json"])).stdout);
    const names = groups.map((group: { netns_name: string | null }) => group.netns_name);
    assert.deepEqual(names.toSorted(), [path, null].toSorted());
    await sidecar.stop();
  }),
);
