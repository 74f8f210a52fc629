/** The installed systemd unit, without systemd. */
import { existsSync } from "node:fs";
import { test } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { inSandbox, make, output } from "./installed.ts";

const ANALYZE = "/usr/bin/systemd-analyze";

test("the command of the installed unit sends READY=1 with the capabilities of the unit", async () => {
  using dir = new TempDir();
  const prefix = dir.file("prefix");
  await make("install", `PREFIX=${prefix}`);
  const unit = `${prefix}/lib/systemd/system/reuseport-migrate.service`;
  // Only on a host with systemd, whose version decides whether a warning fails the command.
  const others = ["@", "-store"].map((name) => unit.replace(/\.service$/, `${name}.service`));
  if (existsSync(ANALYZE)) await output(ANALYZE, ["verify", "--man=no", unit, ...others]);
  await inSandbox("service_main.js", unit);
});
