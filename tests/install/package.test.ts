/** `npm pack`: the package works without a repository and without a compiler. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { inSandbox, output, pathWithNodeOnly } from "./installed.ts";

const OBJECTS = [
  "adopt.bpf.o",
  "bind_events.bpf.o",
  "connections.bpf.o",
  "listeners.bpf.o",
  "processes.bpf.o",
  "select.bpf.o",
  "standby_binds.bpf.o",
];

test("the npm package attaches on a host without clang", async () => {
  using dir = new TempDir();
  await output("npm", ["pack", "--silent", "--pack-destination", dir.path]);
  const tarball = readdirSync(dir.path).find((name) => name.endsWith(".tgz"));
  assert.ok(tarball, "npm pack made no tarball");

  const home = dir.file("empty");
  mkdirSync(home);
  const quiet = ["--no-audit", "--no-fund", "--prefer-offline"];
  await output("npm", ["install", ...quiet, "--prefix", home, dir.file(tarball)], home);
  const installed = join(home, "node_modules/reuseport-migrate");
  assert.deepEqual(readdirSync(join(installed, "dist/bpf")).sort(), OBJECTS);
  assert.deepEqual(readdirSync(join(installed, "dist")).sort(), ["bpf", "cli", "loader", "share"]);

  const command = join(home, "node_modules/.bin/reuseport-migrate");
  await inSandbox("attach_main.js", command, pathWithNodeOnly(dir.path));
});
