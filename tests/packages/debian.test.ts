/** The Debian package on the Debian releases it is for, from a minimal system without Node. */
import { copyFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { TempDir } from "../helpers/host/child.ts";
import { output, ROOT } from "../install/installed.ts";
import { deb, FIRST, NEXT, successor } from "./built.ts";
import { debianTree } from "./debian_tree.ts";

describe("the Debian package", async () => {
  for (const suite of ["bookworm", "trixie"] as const) {
    test(`on ${suite}: install, attach, upgrade under load without a loss, remove, purge`, async (t) => {
      using dir = new TempDir();
      copyFileSync(await deb(), dir.file(`${FIRST}.deb`));
      await successor(dir.file(`${FIRST}.deb`), dir.file(`${NEXT}.deb`), dir.file("unpacked"));
      await debianTree(suite, dir.file("root"));
      const main = fileURLToPath(new URL("debian_main.js", import.meta.url));
      const sandbox = `${ROOT}tests/helpers/sandbox.sh`;
      t.diagnostic(
        await output(sandbox, [process.execPath, main, dir.file("root"), dir.path], "/"),
      );
    });
  }
});
