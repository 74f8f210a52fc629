/** stdout of a command that cannot write it: a failure, said in one line. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { BIN } from "../helpers/product/cli.ts";

test("a command whose output does not fit on the disk fails, and says so", () => {
  const full = openSync("/dev/full", "w");
  try {
    const stdio = ["ignore", full, "pipe"] as const;
    const run = spawnSync(process.execPath, [BIN, "--version"], { stdio: [...stdio] });
    assert.equal(run.status, 1);
    assert.equal(
      run.stderr.toString(),
      "reuseport-migrate: stdout cannot be written: ENOSPC: no space left on device, write\n",
    );
  } finally {
    closeSync(full);
  }
});

test("its exit code stays if only its messages cannot be written", () => {
  const full = openSync("/dev/full", "w");
  try {
    const stdio = ["ignore", "pipe", full] as const;
    const run = spawnSync(process.execPath, [BIN, "attach", "--no-such"], { stdio: [...stdio] });
    assert.equal(run.status, 2);
  } finally {
    closeSync(full);
  }
});

test("a reader that has seen enough is no failure", () => {
  const script = `"$0" "$1" --help; echo "code $?" >&2`;
  const run = spawnSync("sh", ["-c", `{ ${script}; } | true`, process.execPath, BIN]);
  assert.equal(run.stderr.toString(), "code 0\n");
});
