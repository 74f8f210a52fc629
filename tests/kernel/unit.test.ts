/** --unit: the cgroup of a service, by its name. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { runCli } from "../helpers/product/cli.ts";
import { adopts } from "../helpers/scene/adopting.ts";
import { scene } from "../helpers/scene/scene.ts";

describe("--unit", () => {
  test(
    "finds the cgroup by its name where there is no systemd to ask",
    scene(async (s) => {
      const app = new TestCgroup(s, `app-${s.port}.service`).create();
      const nobody = ["env", "PATH=/nowhere"];
      const command = ["attach", `:${s.port}`, "--adopt", "--unit", `app-${s.port}`, "--once"];
      const attach = await runCli(command, nobody);
      assert.equal(attach.code, 0, attach.stderr);
      assert.equal(await adopts(s, app), true);
      const detach = await runCli(["detach", "--all"]);
      assert.equal(detach.code, 0, detach.stderr);
    }),
  );

  test(
    "chooses groups without --adopt too",
    scene(async (s) => {
      const app = new TestCgroup(s, `app-${s.port}.service`).create();
      await s.listener({}, await s.process(app.under));
      const command = ["attach", s.spec, "--once", "--unit"];
      const wrong = await runCli([...command, `ap-${s.port}`]);
      assert.ok(wrong.code === 2 || wrong.code === 4, wrong.stderr);
      const attach = await runCli([...command, `app-${s.port}`]);
      assert.equal(attach.stdout, "ATTACHED groups=1 listeners=1\n", attach.stderr);
      const detach = await runCli(["detach", "--all"]);
      assert.equal(detach.code, 0, detach.stderr);
    }),
  );
});
