/** The reference of the library: complete, and made from the source. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as library from "reuseport-migrate";
import * as store from "reuseport-migrate/store";
import { TempDir } from "../helpers/host/child.ts";
import { ROOT } from "../install/installed.ts";

const REFERENCE = join(ROOT, "dist/reference");
const MODULES = ["reuseport-migrate", "reuseport-migrate_store"];
const FOLDERS = ["classes", "functions", "variables"];

test("every function, class and constant that is exported has a page", () => {
  const exported = Object.keys({ ...library, ...store });
  const hasPage = (name: string) =>
    FOLDERS.some((folder) =>
      MODULES.some((of) => existsSync(join(REFERENCE, folder, `${of}.${name}.html`))),
    );
  assert.deepEqual(
    exported.filter((name) => !hasPage(name)),
    [],
  );
  assert.match(
    readFileSync(join(REFERENCE, "functions/reuseport-migrate.attach.html"), "utf8"),
    /Throws/,
  );
});

test("an export without documentation fails the build", () => {
  using dir = new TempDir();
  const config = join(ROOT, "packaging/reference/typedoc.json");
  const undocumented = ["--entryPoints", join(ROOT, "loader/store/protocol.ts")];
  const typedoc = join(ROOT, "packaging/reference/node_modules/typedoc/bin/typedoc");
  const args = [typedoc, "--options", config, ...undocumented, "--out", dir.path];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.notEqual(status, 0);
  assert.match(stderr, /does not have any documentation/);
});
