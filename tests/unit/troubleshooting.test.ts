/** docs/guides/troubleshooting.md: the messages it quotes are those of the program. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const guide = readFileSync(join(root, "docs/guides/troubleshooting.md"), "utf8");
const sources = ["loader", "cli"]
  .flatMap((tree) =>
    readdirSync(join(root, tree), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => readFileSync(join(root, tree, name), "utf8")),
  )
  .join("\n");

const quoted = [...guide.matchAll(/^### `(.*)`$/gm)].map(([, text = ""]) => text);

test("messages are quoted", () => assert.ok(quoted.length >= 10));

for (const text of quoted) {
  test(`the program says '${text}'`, () => {
    for (const part of text.split("...").map((each) => each.trim())) {
      assert.ok(part.length === 0 || sources.includes(part), `'${part}' is in no source file`);
    }
  });
}
