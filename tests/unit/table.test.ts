import assert from "node:assert/strict";
import { test } from "node:test";
import { table } from "../../cli/output/table.ts";

test("columns are as wide as their widest cell, numbers to the right", () => {
  assert.deepEqual(
    table(
      ["name", "n"],
      [
        ["a", "1"],
        ["long name", "100"],
      ],
    ),
    ["name         n", "a            1", "long name  100"],
  );
});
