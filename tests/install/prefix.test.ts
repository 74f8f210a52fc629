/** `make install` and `make uninstall`. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { inSandbox, make, output, pathWithNodeOnly } from "./installed.ts";

function filesIn(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: "utf8" }).filter(
    (name) => !statSync(join(dir, name)).isDirectory(),
  );
}

test("the command of make install PREFIX= attaches on a host without clang", async () => {
  using dir = new TempDir();
  const prefix = dir.file("prefix");
  await make("install", `PREFIX=${prefix}`);
  await inSandbox("attach_main.js", `${prefix}/bin/reuseport-migrate`, pathWithNodeOnly(dir.path));
  await make("uninstall", `PREFIX=${prefix}`);
  assert.deepEqual(filesIn(prefix), []);
});

test("make install DESTDIR= puts the files below DESTDIR, and the unit names paths without it", async () => {
  using dir = new TempDir();
  const dest = dir.file("dest");
  await make("install", `DESTDIR=${dest}`, "PREFIX=/usr");
  const version = await output(`${dest}/usr/bin/reuseport-migrate`, ["--version"]);
  assert.match(version, /\d+\.\d+\.\d+/);
  const unit = readFileSync(`${dest}/usr/lib/systemd/system/reuseport-migrate.service`, "utf8");
  assert.match(unit, /^ExecStart=\/usr\/bin\/reuseport-migrate attach /m);
  for (const file of filesIn(dest).filter((name) => name.endsWith(".service"))) {
    assert.doesNotMatch(readFileSync(join(dest, file), "utf8"), /usr\/local/);
  }
});

test("make install removes every file of an older installation", async () => {
  using dir = new TempDir();
  const prefix = dir.file("prefix");
  await make("install", `PREFIX=${prefix}`);
  const before = filesIn(prefix).sort();
  await make("install", `PREFIX=${prefix}`);
  assert.deepEqual(filesIn(prefix).sort(), before);
});
