/** The documented capabilities are enough, and each is missed by its name. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { runCli } from "../helpers/product/cli.ts";
import { scene } from "../helpers/scene/scene.ts";

const DOCUMENTED = ["bpf", "perfmon", "net_admin", "sys_ptrace"] as const;

/** Root with these capabilities and no other. */
function under(capabilities: readonly string[]): string[] {
  const set = ["-all", ...capabilities.map((name) => `+${name}`)].join(",");
  return ["setpriv", `--bounding-set=${set}`, `--inh-caps=${set}`];
}

describe("capabilities", () => {
  test(
    "the documented ones are enough to attach, adopt, look and detach",
    scene(async (s) => {
      await s.listener();
      const adopt = ["--adopt", "--cgroup", new TestCgroup(s, "app").path];
      for (const args of [
        ["attach", s.spec, "--once"],
        ["attach", s.spec, ...adopt, "--once"],
        ["status"],
        ["detach", "--all"],
      ]) {
        const run = await runCli(args, under(DOCUMENTED));
        assert.equal(run.code, 0, `${args[0]}: ${run.stderr}`);
      }
    }),
  );

  for (const missing of DOCUMENTED) {
    test(
      `without CAP_${missing.toUpperCase()}: named, exit 5`,
      scene(async (s) => {
        await s.listener();
        const rest = DOCUMENTED.filter((name) => name !== missing);
        const run = await runCli(["attach", s.spec, "--once"], under(rest));
        assert.equal(run.code, 5, run.stderr);
        assert.match(run.stderr, new RegExp(`CAP_${missing.toUpperCase()}`));
      }),
    );
  }

  test(
    "as another user",
    scene(async (s) => {
      await s.listener();
      // The checkout may be one that only root can read; this capability is of no other use here.
      const read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
      const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...read];
      const run = await runCli(["attach", s.spec, "--once"], nobody);
      assert.equal(run.code, 5, run.stderr);
      assert.match(run.stderr, /not root\) lacks CAP_NET_ADMIN/);
    }),
  );
});
