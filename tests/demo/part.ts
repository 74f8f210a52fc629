/** A part of the demo: the same rounds with a busy server, without and with the sidecar. */
import { setTimeout as sleep } from "node:timers/promises";
import { connections, lost } from "../helpers/load/client.ts";
import { type Load, LoadClient } from "../helpers/load/client_load.ts";
import { Server, Sidecar } from "./processes.ts";
import { failures, type Run, type Shown, samples, table } from "./report.ts";

export interface Part {
  /** What happens in a round, in one sentence. */
  readonly story: string;
  readonly times: number;
  readonly load: Pick<Load, "rate" | "concurrency">;
  /** Options of attach. */
  readonly options: readonly string[];
  /** Does one round; returns the server that runs at its end. */
  readonly round: (server: Server) => Promise<Server>;
  readonly shown: Shown;
}

export const PORT = 18080;
/** Between two rounds. */
const PAUSE_MS = 250;

export const say = (text = "") => process.stdout.write(`${text}\n`);

/**
 * Runs the part twice and prints the results; returns a sentence for each expectation that failed.
 */
export async function show(part: Part): Promise<string[]> {
  const without = await withoutSidecar(part);
  const with_ = await withSidecar(part);
  say(`\n${table(part.shown, without, with_)}\n`);
  say("Metrics of the sidecar at the end (without zeros and the labels service and group):");
  say(`${samples(with_.metrics)}\n`);
  return failures(part.shown, without, with_);
}

async function withoutSidecar(part: Part): Promise<Run> {
  say("  without the sidecar");
  return underLoad(part, await Server.start(PORT), async () => "");
}

async function withSidecar(part: Part): Promise<Run> {
  const args = [`:${PORT}`, ...part.options];
  say(`  with the sidecar: reuseport-migrate attach ${args.join(" ")}`);
  const server = await Server.start(PORT);
  const sidecar = await Sidecar.attach(...args, "--netns", String(process.pid));
  const run = await underLoad(part, server, () => sidecar.metrics());
  await sidecar.stop();
  return run;
}

/** Does all rounds under load; calls `readMetrics` before the last server stops. */
async function underLoad(
  part: Part,
  first: Server,
  readMetrics: () => Promise<string>,
): Promise<Run> {
  const { load, times, round, shown } = part;
  using client = await LoadClient.start({ ...load, port: PORT, limit: Number.MAX_SAFE_INTEGER });
  let server = first;
  await sleep(PAUSE_MS);
  for (let done = 0; done < times; done++) {
    progress(`${done} of ${times} ${shown.rounds}`);
    server = await round(server);
    await sleep(PAUSE_MS);
  }
  const tally = await client.stop();
  const metrics = await readMetrics();
  await server.stop();
  progress();
  say(`    ${times} ${shown.rounds}, ${connections(tally)} connections, ${lost(tally)} lost`);
  return { rounds: times, tally, metrics };
}

function progress(text?: string): void {
  if (process.stdout.isTTY) process.stdout.write(text ? `\r  ${text} \x1b[K` : "\r\x1b[K");
}
