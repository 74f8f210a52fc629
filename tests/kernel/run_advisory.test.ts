/** run --advisory, as a unit's ExecReload= has it: the command is run, and its exit code counts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tally } from "../helpers/load/peer.ts";
import { runCli } from "../helpers/product/cli.ts";
import { scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";

const COUNT = 5;
const script = (text: string) => ["--", "sh", "-c", text];

test(
  "if nothing is attached, the command is run",
  scene(async (s) => {
    const run = await runCli(["run", s.spec, "--advisory", ...script("echo ran; exit 7")]);
    assert.deepEqual([run.code, run.stdout], [7, "ran\n"]);
    assert.match(
      run.stderr,
      /^not measured: nothing is attached for \S+; run 'reuseport-migrate att/,
    );
    const gone = await runCli(["run", "--advisory", "--", "no-such-command"]);
    assert.equal(gone.code, 127, gone.stderr);
  }),
);

for (const [advisory, code] of [
  [["--advisory"], 0],
  [[], 3],
] as const) {
  test(
    `what is lost is said: exit ${code} with '${advisory.join(" ")}'`,
    scene(async (s) => {
      const { process } = await s.listener();
      const sidecar = await s.sidecar({ migrate: "off" });
      const { peers } = await bringTo("accept queue", COUNT, s);
      await s.listener();
      await sidecar.reconcile();
      const run = await runCli([
        "run",
        s.spec,
        ...advisory,
        ...script(`kill -KILL ${process.pid}`),
      ]);
      assert.equal(run.code, code, run.stderr);
      assert.match(run.stderr, /^failed: 5 lost of 5 connections that had to migrate/m);
      assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
    }),
  );
}
