/** The unit for one SPEC, which `make build` makes of the sidecar's. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const linesOf = (file: string): string[] =>
  readFileSync(fileURLToPath(new URL(`../../../${file}`, import.meta.url)), "utf8").split("\n");
const settings = (lines: string[]) => lines.filter((line) => /^[^#]/.test(line));

test("an instance has its SPEC from its name, and everything else from the service", () => {
  const service = settings(linesOf("deploy/reuseport-migrate.service"));
  const instance = settings(linesOf("dist/deploy/reuseport-migrate@.service"));
  assert.deepEqual(
    service.filter((line) => !instance.includes(line)),
    [
      "Description=No connection lost when a SO_REUSEPORT server restarts",
      "AssertPathExists=/etc/default/reuseport-migrate",
      "Environment=SPECS= OPTIONS=",
      "EnvironmentFile=/etc/default/reuseport-migrate",
      "ExecStart=/usr/local/bin/reuseport-migrate attach $SPECS --wait --keep $OPTIONS",
    ],
  );
  assert.deepEqual(
    instance.filter((line) => !service.includes(line)),
    [
      "Description=No connection lost when a server on %I restarts",
      "Environment=METRICS=off OPTIONS=",
      "EnvironmentFile=-/etc/default/reuseport-migrate-%i",
      `ExecStart=/usr/local/bin/reuseport-migrate attach %I --wait --keep --metrics \${METRICS} $OPTIONS`,
    ],
  );
});
