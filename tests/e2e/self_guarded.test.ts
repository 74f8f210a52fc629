/** examples/self_guarded.mjs: a Node server that is its own sidecar replaces its workers under load. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Child, TempDir } from "../helpers/host/child.ts";
import { runCli } from "../helpers/product/cli.ts";
import { EXAMPLES } from "../helpers/product/store.ts";
import { until } from "../helpers/until.ts";
import { assertNoneLost, assertSomeLost, reloadUnderLoad, report, rowsOf } from "./scenario.ts";

const PORT = 8096;
const RELOADS = 6;

async function measure(t: TestContext, run: string, before: () => Promise<void>) {
  using dir = new TempDir();
  const args = [`PORT=${PORT}`, process.execPath, `${EXAMPLES}self_guarded.mjs`];
  await using server = new Child("env", args, dir.file("log"));
  await server.until("it is ready", () => /^ready pids=/m.test(server.output()));
  const reloaded = () => server.output().split("reloaded pids=").length - 1;
  await before();
  const measured = await reloadUnderLoad({
    port: PORT,
    reloads: RELOADS,
    reload: async (n) => {
      server.kill("SIGHUP");
      await until("its workers are replaced", () => reloaded() === n);
    },
  });
  report(t, rowsOf(run, measured));
  assert.equal(await server.stop(), 0, server.output());
  const { stdout } = await runCli(["status", "--json"]);
  assert.deepEqual(JSON.parse(stdout).groups, [], "it left a group attached");
  return measured;
}

test("with --migrate off, its reloads lose connections", async (t) => {
  const measured = await measure(t, "off", async () => {
    const { code, stderr } = await runCli(["policy", `:${PORT}`, "--migrate", "off"]);
    assert.equal(code, 0, stderr);
  });
  assertSomeLost(measured);
});

test("a server that guards itself loses no connection when it replaces its workers", async (t) => {
  assertNoneLost(await measure(t, "guarded", async () => {}));
});
