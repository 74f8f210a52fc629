/** Commands that meet: a killed one leaves nothing half-made, and several at once do not mix. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readStatus } from "../../loader/index.ts";
import { pins } from "../helpers/host/fds.ts";
import { tally } from "../helpers/load/peer.ts";
import { runCli } from "../helpers/product/cli.ts";
import { BPFFS, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { groupOf, migratingDecisions } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;

describe("attach, killed at any time", () => {
  test(
    "leaves what the next attach can use and detach can remove",
    scene(async (s) => {
      const listener = await s.listener();
      for (let ms = 80; ms <= 400; ms += 20) {
        await runCli(["attach", s.spec, "--metrics", "off"], [], ms);
      }
      const attach = await runCli(["attach", s.spec, "--once"]);
      assert.equal(attach.code, 0, attach.stderr);
      assert.equal(groupOf(s.port).attached, true);
      assert.equal(pins(BPFFS).filter((path) => path.includes("new-")).length, 0);
      const { peers } = await bringTo("accept queue", COUNT, s);
      const next = await s.listener();
      await next.serve();
      await (await s.sidecar()).close({ keep: true });
      await listener.close();
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      const { "accept_queue/selected": selected } = migratingDecisions(groupOf(s.port));
      assert.equal(selected, COUNT);
      const detach = await runCli(["detach", "--all"]);
      assert.equal(detach.code, 0, detach.stderr);
    }),
  );
});

describe("several at once", () => {
  test(
    "attach: each succeeds or says that another is at work",
    scene(async (s) => {
      await s.listener();
      const runs = await Promise.all([1, 2, 3, 4].map(() => runCli(["attach", s.spec, "--once"])));
      for (const { code, stderr } of runs) assert.ok(code === 0 || code === 7, stderr);
      assert.ok(runs.some(({ code }) => code === 0));
      assert.equal(groupOf(s.port).attached, true);
      assert.equal(groupOf(s.port).attachments, 1);
      const detach = await runCli(["detach", s.spec]);
      assert.equal(detach.code, 0, detach.stderr);
    }),
  );

  test(
    "detach takes a group from a running sidecar, which then ends",
    scene(async (s) => {
      await s.listener();
      const attach = runCli(["attach", s.spec, "--metrics", "off"]);
      const attached = () => readStatus({ bpffs: BPFFS }).groups.some((group) => group.attached);
      await until("it is attached", attached);
      const detach = await runCli(["detach", s.spec]);
      assert.equal(detach.code, 0, detach.stderr);
      const { code, stdout, stderr } = await attach;
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^READY /);
    }),
  );
});

describe("detach SPEC", () => {
  test(
    "leaves other services alone",
    scene(async (s) => {
      const process = await s.process();
      await s.listener({}, process);
      await s.listener({ address: "::1" }, process);
      const other = `[::1]:${s.port}`;
      const attach = await runCli(["attach", s.spec, other, "--once"]);
      assert.equal(attach.stdout, "ATTACHED groups=2 listeners=2\n");
      const detach = await runCli(["detach", s.spec]);
      assert.equal(detach.code, 0, detach.stderr);
      assert.equal(groupOf(s.port).key.family, "ipv6");
      assert.equal(groupOf(s.port).attached, true);
      const unknown = await runCli(["detach", s.spec]);
      assert.equal(unknown.code, 4, unknown.stderr);
      const rest = await runCli(["detach", other]);
      assert.equal(rest.code, 0, rest.stderr);
    }),
  );
});

describe("--wait", () => {
  test(
    "attaches when the server comes",
    scene(async (s) => {
      (await s.sidecar({ wait: true })).watch();
      assert.deepEqual(readStatus({ bpffs: BPFFS }).groups, []);
      await s.listener();
      const groups = () => readStatus({ bpffs: BPFFS }).groups;
      await until("it is attached", () => groups().some((group) => group.attached));
    }),
  );
});
