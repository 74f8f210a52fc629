/** Network namespaces come and go while a sidecar looks after services in them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readStatus } from "../../loader/index.ts";
import { NETNS_RESCAN_MS } from "../../loader/observe/netns_liveness.ts";
import { RECONCILE_MS } from "../../loader/sidecar/poll_schedule.ts";
import { TestNetns, tempDir } from "../helpers/net/netns.ts";
import { ConfiguredSidecar } from "../helpers/scene/configured.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

const groups = () => readStatus({ bpffs: BPFFS }).groups;
const namespaces = () => groups().map(({ key }) => key.netns);
/** Well after an ended namespace is given up: two scans, and one reconciliation a second. */
const LONG_MS = 3 * NETNS_RESCAN_MS;

/** A namespace, and a server in it that listens on the scene's address and port. */
async function served(s: Scene) {
  const netns = await TestNetns.make(s);
  const server = await s.process(netns.under);
  await s.listener({}, server);
  return { netns, server };
}

test(
  "a namespace that goes away is cleaned up soon, though a standby listens in it; one that somebody keeps is not",
  scene(async (s) => {
    const all = await Promise.all(Array.from({ length: 4 }, () => served(s)));
    const [gone, held, kept, mounted] = all.map(({ netns }) => netns) as [
      TestNetns,
      TestNetns,
      TestNetns,
      TestNetns,
    ];
    mounted.mount(s, tempDir(s).file("mounted"));
    // Without a hold they would soon go as groups in which nothing ever migrated.
    const of = (netns: TestNetns) => ({ listen: s.spec, netns: netns.pid, hold: "60s" });
    const sidecar = await ConfiguredSidecar.start(s, {
      gone: of(gone),
      held: of(held),
      kept: of(kept),
      mounted: of(mounted),
    });
    assert.equal(groups().length, 4);
    for (const { server } of all) await server.kill();
    await mounted.end();
    await sleep(LONG_MS);
    assert.equal(groups().length, 4, "all of them are kept");
    await Promise.all([gone.end(), held.end()]);
    await until("they are cleaned up", () => groups().length === 2);
    const left = [kept.inode, mounted.inode];
    assert.deepEqual(namespaces().toSorted(), left.toSorted());
    const why = sidecar
      .log()
      .filter(({ msg }) => /its network namespace is gone; unpinned/.test(msg));
    assert.equal(why.length, 2);
  }),
);

describe("a namespace that appears", () => {
  test(
    "is attached when its path is there, and so is the next one at that path; others are not",
    scene(async (s) => {
      const path = tempDir(s).file("web");
      const web = { listen: s.spec, netns: path };
      const [first, second] = await Promise.all([served(s), served(s)]);
      const sidecar = await ConfiguredSidecar.start(s, { web });
      const waits = () =>
        sidecar.log().filter(({ msg }) => /^web waits: .* is not a network namespace/.test(msg));
      assert.equal(waits().length, 1);
      await sleep(2 * RECONCILE_MS);
      assert.equal(waits().length, 1, "said once");
      assert.deepEqual(namespaces(), []);

      const unmount = first.netns.mount(s, path);
      await until("it is attached", () => namespaces().length === 1);
      assert.deepEqual(namespaces(), [first.netns.inode]);
      unmount();
      second.netns.mount(s, path);
      await until("the next one is attached", () => namespaces().includes(second.netns.inode));
    }),
  );

  test(
    "is attached without being named, when all are meant",
    scene(async (s) => {
      // Of the sandbox only: `all` is the whole host.
      const cgroup = `/${(process.env["SANDBOX_CGROUP"] ?? "").split("/").at(-1)}`;
      const web = { listen: s.spec, cgroup, netns: "all" };
      const other = { listen: s.spec, cgroup: "/no/such", netns: "all" };
      await ConfiguredSidecar.start(s, { other, web });
      assert.deepEqual(namespaces(), []);
      const { netns } = await served(s);
      await until("it is attached", () => groups().some(({ attached }) => attached));
      assert.deepEqual(
        groups().map(({ key, service }) => [key.netns, service]),
        [[netns.inode, "web"]],
      );
    }),
  );
});
