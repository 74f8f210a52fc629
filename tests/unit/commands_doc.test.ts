/** docs/COMMANDS.md is what the command line's definitions say. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { COMMANDS } from "../../cli/line/command_list.ts";
import { OPTION_NAMES } from "../../cli/options/service.ts";
import { commandsDoc } from "../docs/commands.ts";

const file = new URL("../../../docs/COMMANDS.md", import.meta.url);

test("docs/COMMANDS.md is up to date", async () => {
  const isCurrent = readFileSync(file, "utf8") === (await commandsDoc());
  assert.ok(isCurrent, "docs/COMMANDS.md is stale: run 'make docs'");
});

test("every command has a section, and every option of a service an entry", async () => {
  const text = await commandsDoc();
  for (const name of [...COMMANDS.keys(), "store put", "store exec", "completion"]) {
    assert.match(text, new RegExp(`^## ${name}$`, "m"));
  }
  const [, attach = ""] = text.split("## attach\n");
  for (const name of OPTION_NAMES) assert.match(attach, new RegExp(`^- \`--${name}\` \\(`, "m"));
});

test("no line is longer than 100 columns", async () => {
  for (const line of (await commandsDoc()).split("\n")) assert.ok(line.length <= 100, line);
});
