/** The installed systemd unit, without systemd. */
import { existsSync } from "node:fs";
import { test } from "node:test";
import { TempDir } from "../helpers/host/child.ts";
import { inSandbox, make, output } from "./installed.ts";

const ANALYZE = "/usr/bin/systemd-analyze";

test("the installed unit's command runs with the unit's capabilities and says READY=1", async () => {
  using dir = new TempDir();
  const prefix = dir.file("prefix");
  await make("install", `PREFIX=${prefix}`);
  const unit = `${prefix}/lib/systemd/system/reuseport-migrate.service`;
  // Where there is a systemd to ask. Its complaints fail the command or not, by version.
  const store = unit.replace("migrate.service", "migrate-store.service");
  if (existsSync(ANALYZE)) await output(ANALYZE, ["verify", unit, store]);
  await inSandbox("service_main.js", unit);
});
