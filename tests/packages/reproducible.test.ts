/** The same tree makes the same packages: from a copy elsewhere, compiled again. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { output, ROOT } from "../install/installed.ts";

const TARGETS = ["deb", "tarball", "npm-package"];

const sha256 = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");

test("deb, tar.gz and npm package have the same bytes when they are built twice", async () => {
  assert.ok(process.env["SOURCE_DATE_EPOCH"], "run it by make test-packages");
  using dir = new TempDir();
  const copy = dir.file("copy");
  mkdirSync(copy);
  const list = `git ls-files -z --cached --others --exclude-standard | tar --null -cf - -T - node_modules packaging/node/node_modules | tar -xf - -C '${copy}'`;
  await output("sh", ["-c", list]);
  const again = dir.file("again");
  await output("make", ["--no-print-directory", `PACKAGES=${again}`, ...TARGETS], copy);
  const names = readdirSync(again);
  assert.equal(names.length, TARGETS.length);
  for (const name of names) {
    assert.equal(sha256(join(again, name)), sha256(join(ROOT, "dist/packages", name)), name);
  }
});
