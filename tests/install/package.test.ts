/** `npm pack`: the package works without a repository and without a compiler. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { inSandbox, output, pathWithNodeOnly, ROOT } from "./installed.ts";

const OBJECTS = [
  "adopt.bpf.o",
  "bind_events.bpf.o",
  "connections.bpf.o",
  "listeners.bpf.o",
  "processes.bpf.o",
  "select.bpf.o",
  "standby_binds.bpf.o",
];

/** The compiler's options of a user who has none of ours. */
const TSCONFIG = {
  compilerOptions: {
    module: "nodenext",
    target: "es2022",
    lib: ["es2023", "esnext.disposable"],
    strict: true,
    noEmit: true,
    types: ["node"],
    typeRoots: [join(ROOT, "node_modules/@types")],
  },
};

test("the npm package attaches on a host without clang, and is a library with types", async () => {
  using dir = new TempDir();
  await output("npm", ["pack", "--silent", "--pack-destination", dir.path]);
  const tarball = readdirSync(dir.path).find((name) => name.endsWith(".tgz"));
  assert.ok(tarball, "npm pack made no tarball");

  const home = dir.file("empty");
  mkdirSync(home);
  const quiet = ["--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts"];
  await output("npm", ["install", ...quiet, "--prefix", home, dir.file(tarball)], home);
  const installed = join(home, "node_modules/reuseport-migrate");
  assert.deepEqual(readdirSync(join(installed, "dist/bpf")).sort(), OBJECTS);
  const parts = ["bpf", "cli", "library", "loader", "share"];
  assert.deepEqual(readdirSync(join(installed, "dist")).sort(), parts);

  const command = join(home, "node_modules/.bin/reuseport-migrate");
  await inSandbox("attach_main.js", command, pathWithNodeOnly(dir.path));

  // As a library, from outside: compiled against its types, then run.
  copyFileSync(join(ROOT, "tests/unit/library_types.ts"), join(home, "types.mts"));
  writeFileSync(join(home, "tsconfig.json"), JSON.stringify(TSCONFIG));
  await output(join(ROOT, "node_modules/.bin/tsc"), ["--project", home], home);
  await inSandbox("library_main.js", home);
});
