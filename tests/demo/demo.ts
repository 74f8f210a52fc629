/**
 * `make demo`: a busy server is reloaded, then stopped and started, again and again under load,
 * first alone and then with the sidecar beside it. Runs in the sandbox; see tests/helpers/sandbox.sh.
 */
import { setSysctl } from "../helpers/net/sysctl.ts";
import { PORT, say, show } from "./part.ts";
import { endAll } from "./processes.ts";
import { RELOAD } from "./reload.ts";
import { STOP_START } from "./stop_start.ts";

async function main(): Promise<number> {
  setSysctl("net.ipv4.tcp_migrate_req", 0);
  say(`A busy HTTP server on port ${PORT}, under load, without and with the sidecar.\n`);
  const wrong: string[] = [];
  for (const [i, part] of [RELOAD, STOP_START].entries()) {
    say(`${i + 1}. ${part.story}`);
    wrong.push(...(await show(part)));
  }
  for (const what of wrong) say(`FAILED: ${what}.`);
  if (wrong.length > 0) return 1;
  say("Nobody was lost with the sidecar, and the server never knew.");
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
