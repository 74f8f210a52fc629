/** The Node of the packages sets SO_REUSEPORT by itself, which the Node of this run may not. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { output, ROOT } from "../install/installed.ts";

const MODULES = join(ROOT, "packaging/node/node_modules");

test("there, too, examples/self_guarded.mjs loses no connection", async () => {
  const name = readdirSync(MODULES).find((each) => each.startsWith("node-linux-"));
  assert.ok(name, "make deb has installed no Node");
  const node = join(MODULES, name, "bin/node");
  assert.match(await output(node, ["--version"]), /^v24\./);
  const file = fileURLToPath(new URL("../e2e/self_guarded.test.js", import.meta.url));
  // Without the variable by which node:test recognizes that it is inside another test run.
  const under = ["env", "--unset=NODE_TEST_CONTEXT", node, "--test", file];
  const text = await output(join(ROOT, "tests/helpers/sandbox.sh"), under);
  assert.match(text, /pass 2\b/);
});
