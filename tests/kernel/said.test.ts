/** What commands and sidecars say of a group that is not, or no longer, attached. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { detach } from "../../loader/index.ts";
import { Child, TempDir } from "../helpers/host/child.ts";
import { AS_NOBODY } from "../helpers/hostile/nobody.ts";
import { BIN, runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

async function attach(s: Scene, ...args: string[]): Promise<SidecarProcess> {
  const sidecar = await SidecarProcess.attach(...args, "--metrics", "off");
  s.defer(() => sidecar[Symbol.asyncDispose]());
  return sidecar;
}

const LEFT = /warn +no group is left, as other commands detached them: restart the sidecar/;

describe("detach", () => {
  test(
    "names the sidecar that leaves the groups alone; it says that nothing is left, and ends",
    scene(async (s) => {
      await s.listener();
      const sidecar = await attach(s, s.spec);
      const { pid } = sidecar;
      const run = await runCli(["detach", s.spec]);
      assert.match(run.stdout, new RegExp(`^note: sidecar ${pid} leaves them alone until`, "m"));
      await until("it says that it ends", () => /nothing is left to manage/.test(sidecar.output()));
      assert.match(sidecar.output(), LEFT);
      const again = await runCli(["status"]);
      assert.deepEqual([again.code, again.stdout], [0, "nothing is attached\n"]);
    }),
  );

  test(
    "a sidecar with --wait lives on, and status shows it",
    scene(async (s) => {
      await s.listener();
      const sidecar = await attach(s, s.spec, "--wait");
      const { pid } = sidecar;
      const before = await runCli(["status", "--json"]);
      assert.deepEqual(JSON.parse(before.stdout).sidecars, [{ pid, groups: 1 }]);
      const run = await runCli(["detach", "--all", "--json"]);
      assert.deepEqual(JSON.parse(run.stdout).sidecars, [pid]);
      await until("it says that nothing is left", () => LEFT.test(sidecar.output()));
      const text = `nothing is attached\n\nsidecar ${pid} runs and manages no group\n`;
      assert.equal((await runCli(["status"])).stdout, text);
      await sidecar.stop();
      assert.equal((await runCli(["status"])).stdout, "nothing is attached\n");
    }),
  );

  test(
    "another user cannot pretend to be a sidecar",
    scene(async (s) => {
      using dir = new TempDir();
      // The mode that a bpffs has by default.
      const script = 'exec 3<"$0"; flock -s 3; echo locked; exec sleep 600';
      const [command, ...args] = [...AS_NOBODY, "sh", "-c", script, BPFFS];
      await using liar = new Child(command ?? "", args, dir.file("log"));
      await liar.until("it has the lock", () => liar.output().includes("locked"));
      await s.listener();
      assert.equal((await runCli(["status"])).stdout, "nothing is attached\n");
    }),
  );
});

describe("status SPEC", () => {
  test(
    "lists what listens and is not attached, and what does not listen: exit 4",
    scene(async (s) => {
      await s.listener();
      s.defer(() => detach({ all: true, bpffs: BPFFS }));
      await s.sidecar();
      const [twice, lacks, empty] = [10_000, 11_000, 12_000].map((more) => s.port + more);
      const process = await s.process();
      await process.open({ address: s.address, port: twice ?? 0 });
      await process.open({ address: s.address, port: twice ?? 0 });
      await process.open({ address: s.address, port: lacks ?? 0, reuseport: false });
      const run = await runCli(["status", s.spec, `:${twice}`, `:${lacks}`, `:${empty}`]);
      const { pid } = process;
      assert.equal(run.code, 4, run.stderr);
      const [attached, rest = ""] = run.stdout.split("\n\n");
      assert.match(attached ?? "", new RegExp(`^${s.spec}  service`));
      const lines = rest
        .trimEnd()
        .replaceAll(/\n {4}/g, " ") // a line that is too wide for 80 columns
        .replaceAll(/netns \d+/g, "netns N")
        .split("\n");
      assert.deepEqual(lines, [
        "not attached",
        `  127.0.0.1:${twice}  ${pid} node, netns N (2 listeners)`,
        `  127.0.0.1:${lacks}  ${pid} node, netns N, without SO_REUSEPORT (see --adopt)`,
        `  :${empty}  nothing listens`,
      ]);
      const one = await runCli(["status", `:${empty}`]);
      assert.deepEqual([one.code, one.stdout], [4, `not attached\n  :${empty}  nothing listens\n`]);
      assert.equal((await runCli(["status", s.spec])).code, 0);
    }),
  );
});

describe("--keep", () => {
  test(
    "says at the end what is left attached, and how to undo it",
    scene(async (s) => {
      await s.listener();
      s.defer(() => detach({ all: true, bpffs: BPFFS }));
      using dir = new TempDir();
      const args = ["attach", s.spec, "--keep", "--metrics", "off"];
      await using child = new Child(BIN, args, dir.file("log"));
      await child.until("READY", () => child.output().includes("READY"));
      assert.equal(await child.stop("SIGINT"), 0);
      const text = "left attached: 1 group; 'reuseport-migrate detach --all' gives them back";
      assert.ok(child.output().includes(text), child.output());
    }),
  );
});
