/**
 * `make demo`: a busy server is reloaded, and then stopped and started, under load: first without
 * and then with the sidecar. Runs in the sandbox; see tests/helpers/sandbox.sh.
 */
import { setSysctl } from "../helpers/net/sysctl.ts";
import { showPage } from "./live.ts";
import { PORT, say, show } from "./part.ts";
import { endAll } from "./processes.ts";
import { RELOAD } from "./reload.ts";
import { STOP_START } from "./stop_start.ts";

async function main(): Promise<number> {
  setSysctl("net.ipv4.tcp_migrate_req", 0);
  say(`A busy HTTP server on port ${PORT}, without and with the sidecar.\n`);
  const wrong: string[] = [];
  for (const [i, part] of [RELOAD, STOP_START].entries()) {
    say(`${i + 1}. ${part.story}`);
    wrong.push(...(await show(part)));
  }
  for (const sentence of wrong) say(`FAILED: ${sentence}.`);
  if (wrong.length > 0) return 1;
  say("With the sidecar no connection was lost, and the server needed no change.");
  await showPage(process.env["DEMO_PAGE"], process.env["DEMO_URL"]);
  return 0;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    endAll();
    process.exit(signal === "SIGINT" ? 130 : 143);
  });
}
try {
  process.exitCode = await main();
} catch (error) {
  say(`\nFAILED: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  endAll();
}
