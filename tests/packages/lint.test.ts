/** The package and its man pages, as Debian's own checkers see them. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { output, ROOT } from "../install/installed.ts";
import { deb } from "./built.ts";

const lintian = (file: string) =>
  spawnSync(
    "lintian",
    ["--allow-root", "--info", "--display-info", "--tag-display-limit", "0", file],
    {
      encoding: "utf8",
    },
  );

test("lintian finds nothing, and each override has a reason and a use", async () => {
  const { stdout, status } = lintian(await deb());
  assert.equal(stdout.trim(), "");
  assert.equal(status, 0);
  const overrides = readFileSync(join(ROOT, "packaging/debian/lintian-overrides"), "utf8");
  assert.match(overrides, /^#/);
});

test("lintian is awake: it finds a file in /usr/local", async () => {
  using dir = new TempDir();
  const [from, tree, into] = [
    dir.file("from.deb"),
    dir.file("tree"),
    dir.file("into.deb"),
  ] as const;
  copyFileSync(await deb(), from);
  await output("dpkg-deb", ["-R", from, tree]);
  rmSync(join(tree, "usr/lib"), { recursive: true }); // a small package is checked fast
  execFileSync("mkdir", ["-p", join(tree, "usr/local")]);
  writeFileSync(join(tree, "usr/local/file"), "");
  await output("dpkg-deb", ["--root-owner-group", "-Znone", "-b", tree, into]);
  assert.match(lintian(into).stdout, /file-in-usr-local/);
});

test("man reads every page without a warning, and every command has one", () => {
  const pages = readdirSync(join(ROOT, "dist/share/man/man8"));
  for (const name of ["", "-attach", "-store-put", "-completion"]) {
    assert.ok(pages.includes(`reuseport-migrate${name}.8`), name);
  }
  for (const page of [...pages.map((name) => `man8/${name}`), "man5/reuseport-migrate.yaml.5"]) {
    const { stdout, stderr } = spawnSync(
      "man",
      ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", join(ROOT, "dist/share/man", page)],
      {
        encoding: "utf8",
        env: { ...process.env, LC_ALL: "C.UTF-8", MANWIDTH: "80", MANPAGER: "cat" },
      },
    );
    assert.equal(stderr, "", page);
    assert.match(stdout, /N.*A.*M.*E/, page);
  }
});

test("shellcheck finds nothing in the scripts of the repository", async () => {
  const scripts = (await output("git", ["ls-files", "*.sh", "packaging/debian/p*"])).trim();
  assert.equal(await output("shellcheck", scripts.split("\n")), "");
});
