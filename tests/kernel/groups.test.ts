/** Groups: several of a service, re-created ones, and what makes two of them different. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { netnsInode, readStatus } from "../../loader/index.ts";
import { SOL_SOCKET } from "../../loader/sys/libc.ts";
import { pins } from "../helpers/host/fds.ts";
import { tally } from "../helpers/load/peer.ts";
import { runCli } from "../helpers/product/cli.ts";
import { BPFFS, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { decisions, groupOf, listenerOf, migratingDecisions } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;

describe("groups", () => {
  test(
    "one that was re-created is attached again, and that is counted",
    scene(async (s) => {
      const first = await s.listener();
      const sidecar = await s.sidecar();
      assert.equal(groupOf(s.port).attachments, 1);
      const { peers } = await bringTo("accept queue", 3, s);
      await first.close();
      assert.deepEqual(await tally(peers), { ECONNRESET: 3 });
      await sidecar.reconcile();
      assert.equal(groupOf(s.port).attached, false);

      sidecar.watch();
      const second = await s.listener();
      await until("it is attached again", () => groupOf(s.port).attached);
      assert.equal(groupOf(s.port).attachments, 2);
      const held = await bringTo("accept queue", COUNT, s);
      const third = await s.listener();
      await third.serve();
      await sidecar.reconcile();
      await second.close();
      assert.deepEqual(await tally(held.peers), { [third.process.pid]: COUNT });
      assert.equal(migratingDecisions(groupOf(s.port))["accept_queue/selected"], COUNT);
    }),
  );

  test(
    "one SPEC, both families",
    scene(async (s) => {
      const process = await s.process();
      await s.listener({ address: "0.0.0.0" }, process);
      await s.listener({ address: "::" }, process);
      const sidecar = await s.sidecar({ spec: `:${s.port}` });
      const groups = readStatus({ bpffs: BPFFS }).groups;
      assert.deepEqual(groups.map(({ key }) => key.family).sort(), ["ipv4", "ipv6"]);
      assert.deepEqual(
        groups.map(({ attached }) => attached),
        [true, true],
      );
      await sidecar.close({ keep: false });
      assert.deepEqual(readStatus({ bpffs: BPFFS }).groups, []);
    }),
  );

  test(
    "the same address in two network namespaces, and in one of them",
    scene(async (s) => {
      const spec = `0.0.0.0:${s.port}`;
      const far = await s.process(["unshare", "--net"]);
      await s.listener({ address: "0.0.0.0" });
      await s.listener({ address: "0.0.0.0" }, far);
      const netns = () => readStatus({ bpffs: BPFFS }).groups.map(({ key }) => key.netns);
      const both = await s.sidecar({ spec, netns: "all" });
      assert.deepEqual(
        netns().toSorted(),
        [netnsInode(process.pid), netnsInode(far.pid)].toSorted(),
      );
      await both.close();
      await s.sidecar({ spec, filter: { netns: netnsInode(far.pid) } });
      assert.deepEqual(netns(), [netnsInode(far.pid)]);
    }),
  );

  test(
    "the same address with a bound device and without",
    scene(async (s) => {
      const SO_BINDTOIFINDEX = 62;
      const device = { level: SOL_SOCKET, name: SO_BINDTOIFINDEX, value: 1 }; // lo
      const process = await s.process();
      await s.listener({}, process);
      const old = await s.listener({ options: [device] }); // the kernel asks the last opened first
      const sidecar = await s.sidecar();
      const groups = () => readStatus({ bpffs: BPFFS }).groups;
      assert.deepEqual(
        groups()
          .map(({ key }) => key.ifindex)
          .toSorted(),
        [0, 1],
      );
      const { peers } = await bringTo("accept queue", COUNT, s);
      const next = await s.listener({ options: [device] }, process);
      await next.serve();
      await sidecar.reconcile();
      await old.close();
      assert.deepEqual(await tally(peers), { [process.pid]: COUNT });
      const bound = groups().find(({ key }) => key.ifindex === 1);
      assert.deepEqual(bound && migratingDecisions(bound), { "accept_queue/selected": COUNT });
    }),
  );
});

describe("a group that was re-created while no sidecar was there", () => {
  test(
    "is attached again by the next one, with its counters",
    scene(async (s) => {
      const first = await s.listener();
      await (await s.sidecar()).close({ keep: true });
      const { peers } = await bringTo("accept queue", COUNT, s);
      const second = await s.listener();
      await second.serve();
      await first.close(); // to the second by the kernel's hash
      assert.deepEqual(await tally(peers), { [second.process.pid]: COUNT });
      await second.close();
      const before = decisions(groupOf(s.port));
      assert.equal(groupOf(s.port).attached, false);

      const third = await s.listener();
      assert.equal(groupOf(s.port).attached, false);
      await s.sidecar();
      const group = groupOf(s.port);
      assert.deepEqual([group.attached, group.attachments], [true, 2]);
      assert.deepEqual(decisions(group), before);
      assert.equal(listenerOf(group, third.cookie).role, "target");
    }),
  );

  test(
    "is only unpinned by detach",
    scene(async (s) => {
      const first = await s.listener();
      await (await s.sidecar()).close({ keep: true });
      await first.close();
      const detach = await runCli(["detach", "--all"]);
      assert.equal(detach.code, 0, detach.stderr);
    }),
  );

  test(
    "is unpinned when nobody has listened on it for long",
    scene(async (s) => {
      const first = await s.listener();
      const patient = await s.sidecar();
      await first.close();
      await patient.reconcile();
      assert.equal(pins(BPFFS).length > 0, true, "an hour is not over");
      await patient.close({ keep: true });

      const second = await s.listener();
      const sidecar = await s.sidecar({ idleMs: 50 });
      await second.close();
      await until("it is given up", async () => {
        await sidecar.reconcile();
        return s.log.some(({ event }) => event === "given_up");
      });
      assert.deepEqual(readStatus({ bpffs: BPFFS }).groups, []);
    }),
  );

  test(
    "owners are borrowed from in a pid namespace of our own too",
    scene(async (s) => {
      const main = fileURLToPath(new URL("./pidns_main.js", import.meta.url));
      const args = ["--pid", "--fork", "--mount-proc", process.execPath, main, String(s.port)];
      const { pid, owner, attached } = JSON.parse(
        execFileSync("unshare", args, { encoding: "utf8" }),
      );
      assert.deepEqual({ owner, attached }, { owner: pid, attached: true });
      assert.ok(pid < 100, "it has pids of its own");
    }),
  );
});
