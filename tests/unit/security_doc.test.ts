/** docs/SECURITY.md and the systemd unit say what the capabilities are that the product checks. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { COMMANDS } from "../../cli/line/command_list.ts";
import { COMMAND_RIGHTS, OPTIONAL, REQUIRED, rightsTable } from "../helpers/product/rights.ts";
import { UnitFile } from "../install/unit_file.ts";

const path = (name: string) => fileURLToPath(new URL(`../../../${name}`, import.meta.url));
const textOf = (name: string) => readFileSync(path(name), "utf8");
const SIX: readonly string[] = [...REQUIRED, ...OPTIONAL];

test("the table of commands is that of the tests, and has every command", () => {
  const text = textOf("docs/SECURITY.md");
  const table = /^\| command \|[\s\S]*?\n\n/m.exec(text)?.[0].trim();
  assert.equal(table, rightsTable());
  for (const name of COMMANDS.keys()) assert.ok(name in COMMAND_RIGHTS, name);
});

test("every capability is explained, and each that a message can name", () => {
  const text = textOf("docs/SECURITY.md");
  for (const name of [...SIX, "CAP_SYS_ADMIN", "CAP_KILL"]) {
    assert.match(text, new RegExp(`^\\| ${name} \\| .+ \\|`, "m"), name);
  }
});

test("the unit, and its description, have the capabilities of attach and its options", () => {
  const unit = new UnitFile(path("deploy/reuseport-migrate.service"));
  const has = unit.get("CapabilityBoundingSet").split(" ");
  assert.deepEqual(has.sort(), [...SIX].sort());
  const [, section = ""] = textOf("docs/ATTACH.md").split("## As a service\n");
  const [, table = ""] = section.split("| capability | for |\n");
  const rows = table.split("\n\n")[0] ?? "";
  assert.deepEqual([...rows.matchAll(/CAP_\w+/g)].map(([name]) => name).sort(), [...SIX].sort());
});
