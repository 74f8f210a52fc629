/** The tar.gz with install.sh, for hosts without dpkg. */
import { basename } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { TempDir } from "../helpers/host/child.ts";
import { output, ROOT } from "../install/installed.ts";
import { tarball } from "./built.ts";
import { debianTree } from "./debian_tree.ts";

test("the tar.gz: install.sh, attach, install again, uninstall", async () => {
  using dir = new TempDir();
  const file = await tarball();
  const root = dir.file("root");
  await debianTree("bookworm", root);
  await output("tar", ["-xzf", file, "-C", `${root}/tmp`]);
  const main = fileURLToPath(new URL("tarball_main.js", import.meta.url));
  const args = [process.execPath, main, root, basename(file, ".tar.gz")];
  await output(`${ROOT}tests/helpers/sandbox.sh`, args, "/");
});
