/**
 * `make demo`: a busy server is reloaded again and again under load, first alone and then with
 * the sidecar beside it. Runs in the sandbox; see tests/helpers/sandbox.sh.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { connections, lost } from "../helpers/client.ts";
import { LoadClient } from "../helpers/client_load.ts";
import { setSysctl } from "../helpers/sysctl.ts";
import { endAll, Server, Sidecar } from "./processes.ts";
import { failure, type Run, samples, table } from "./report.ts";

const PORT = 18080;
const RELOADS = Number(process.env["DEMO_RELOADS"] ?? 25);
/** Each of so many visitors comes again, on a new connection, as soon as he is served. */
const LOAD = { port: PORT, concurrency: 64, limit: Number.MAX_SAFE_INTEGER };
/** The old server and the new one listen together for so long, then the new one alone. */
const OVERLAP_MS = 50;
const ALONE_MS = 250;

const say = (text = "") => process.stdout.write(`${text}\n`);

function progress(done: number): void {
  if (process.stdout.isTTY) process.stdout.write(`\r  ${done} of ${RELOADS} reloads \x1b[K`);
}

/** One run: the servers under load, counted by the client; `look` is called before the last one stops. */
async function reloadUnderLoad(first: Server, look: () => Promise<string>): Promise<Run> {
  using load = await LoadClient.start(LOAD);
  let current = first;
  const stopped: Promise<void>[] = [];
  await sleep(ALONE_MS);
  for (let done = 0; done < RELOADS; done++) {
    progress(done);
    const next = await Server.start(PORT);
    await sleep(OVERLAP_MS);
    stopped.push(current.stop());
    current = next;
    await sleep(ALONE_MS);
  }
  await Promise.all(stopped);
  const tally = await load.stop();
  const metrics = await look();
  await current.stop();
  if (process.stdout.isTTY) process.stdout.write("\r\x1b[K");
  say(`  ${RELOADS} reloads, ${connections(tally)} connections, ${lost(tally)} lost`);
  return { reloads: RELOADS, tally, metrics };
}

async function withoutSidecar(): Promise<Run> {
  say("1. without the sidecar");
  return reloadUnderLoad(await Server.start(PORT), async () => "");
}

async function withSidecar(): Promise<Run> {
  const args = [`:${PORT}`, "--route", "newest"];
  say(`2. with the sidecar: reuseport-migrate attach ${args.join(" ")}`);
  const server = await Server.start(PORT);
  const sidecar = await Sidecar.attach(...args, "--netns", String(process.pid));
  const run = await reloadUnderLoad(server, () => sidecar.metrics());
  await sidecar.stop();
  return run;
}

async function main(): Promise<number> {
  setSysctl("net.ipv4.tcp_migrate_req", 0);
  say(`A busy HTTP server on port ${PORT}, reloaded ${RELOADS} times under load, twice.`);
  say("Each reload starts a new process, then stops the old one gracefully.\n");
  const without = await withoutSidecar();
  const with_ = await withSidecar();
  say(`\n${table(without, with_)}\n`);
  say(`/metrics of the sidecar at the end, what is not zero (labels service and group left out):`);
  say(`${samples(with_.metrics)}\n`);
  const wrong = failure(without, with_);
  say(wrong ? `FAILED: ${wrong}.` : "Nobody was lost with the sidecar, and the server never knew.");
  return wrong ? 1 : 0;
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
