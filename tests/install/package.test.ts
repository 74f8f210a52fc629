/** `npm pack`: the package that works where there is neither a repository nor a compiler. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { inSandbox, output, pathWithNodeOnly } from "./installed.ts";

const OBJECTS = ["adopt.bpf.o", "bind_events.bpf.o", "listeners.bpf.o", "select.bpf.o"];

test("the npm package attaches where there is no clang", async () => {
  using dir = new TempDir();
  await output("npm", ["pack", "--silent", "--pack-destination", dir.path]);
  const tarball = readdirSync(dir.path).find((name) => name.endsWith(".tgz"));
  assert.ok(tarball, "npm pack made a tarball");

  const home = dir.file("empty");
  mkdirSync(home);
  const quiet = ["--no-audit", "--no-fund", "--prefer-offline"];
  await output("npm", ["install", ...quiet, "--prefix", home, dir.file(tarball)], home);
  const installed = join(home, "node_modules/reuseport-migrate");
  assert.deepEqual(readdirSync(join(installed, "dist/bpf")).sort(), OBJECTS);
  assert.deepEqual(readdirSync(join(installed, "dist")).sort(), ["bpf", "cli", "loader"]);

  const command = join(home, "node_modules/.bin/reuseport-migrate");
  await inSandbox("attach_main.js", command, pathWithNodeOnly(dir.path));
});
