/** What servers go through here: stopped or killed, started again after a while in which nobody listens, under load. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type Kind, type Loss, noVisits, type Tally, visit } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { type Connections, connectionsWith } from "../helpers/net/accepted.ts";
import type { Restartable } from "../helpers/servers/restartable.ts";
import { until } from "../helpers/until.ts";

export const WAYS = ["graceful", "SIGKILL"] as const;
export type Way = (typeof WAYS)[number];

export interface Outages {
  readonly way: Way;
  readonly times: number;
  /** Nobody listens for so long. */
  readonly gapMs: number;
  /** New connections a second. */
  readonly rate: number;
}

export interface Measured {
  readonly stops: number;
  readonly tally: Tally;
  /** Lost connections that no killed server had accepted, or of which that is not known. */
  readonly unproven: readonly Loss[];
}

/** The moment of a SIGKILL. */
interface Killed {
  readonly atMs: number;
  /** Client ports of what the server had accepted and not closed. */
  readonly accepted: ReadonlySet<number>;
}

/** Between two outages: who waited is served, and the load is steady again. */
const PAUSE_MS = 300;
/** Connections that each SIGKILL finds accepted, so that there is something to lose. */
const SILENT = 5;

export async function stopAndStart(server: Restartable, outages: Outages): Promise<Measured> {
  const { port, hosts } = server.recipe;
  const { way, times, gapMs, rate } = outages;
  // Whoever waits for the server is a connection under way.
  const concurrency = Math.ceil((rate * gapMs) / 1000) + 400;
  const limit = Number.MAX_SAFE_INTEGER;
  using load = await LoadClient.start({ port, hosts, rate, concurrency, limit });
  const killed: Killed[] = [];
  const silent: Promise<Kind>[] = [];
  const losses: Loss[] = [];
  for (let n = 0; n < times; n++) {
    await sleep(PAUSE_MS);
    if (way === "graceful") {
      await server.stop();
    } else {
      silent.push(...(await acceptedBy(server, losses)));
      killed.push(await kill(server));
    }
    await sleep(gapMs);
    await server.start();
  }
  await sleep(PAUSE_MS);
  const tally = await load.stop();
  for (const kind of await Promise.all(silent)) tally[kind]++;
  losses.push(...load.losses);
  return { stops: times, tally, unproven: losses.filter((loss) => !proven(loss, killed)) };
}

/** Connections that ask nothing, so that the server, which has accepted them, cannot finish them. */
async function acceptedBy({ recipe }: Restartable, losses: Loss[]): Promise<Promise<Kind>[]> {
  const { port, hosts } = recipe;
  const ports: number[] = [];
  const kinds = Array.from({ length: SILENT }, (_, i) =>
    visit({
      port,
      host: hosts[i % hosts.length] as string,
      path: "/silent",
      silent: true,
      onConnect: (localPort) => ports.push(localPort),
      onLoss: (loss) => losses.push(loss),
    }),
  );
  await until("the silent ones are accepted", async () => {
    const { accepted } = await connectionsWith(port);
    return ports.length === SILENT && ports.every((each) => accepted.has(each));
  });
  return kinds;
}

/** Kills it when connections wait to be accepted; frozen before, so that it can be told which do. */
async function kill(server: Restartable): Promise<Killed> {
  const { port, says } = server.recipe;
  await server.freeze();
  const found = await until("a connection waits to be accepted", async () => {
    const now = await connectionsWith(port);
    return now.waiting.size > 0 ? now : null;
  });
  const atMs = Date.now();
  if (says) assertSaid(found, server.said());
  await server.kill();
  return { atMs, accepted: found.accepted };
}

/** What the kernel says is accepted the server says too, but for one between accept(2) and saying so. */
function assertSaid({ accepted }: Connections, said: Set<number>): void {
  const unsaid = [...accepted].filter((port) => !said.has(port));
  assert.ok(unsaid.length <= 1, `accepted, but the server does not say so: ${unsaid}`);
}

/** Whether it was open at a SIGKILL and accepted by then. */
function proven({ localPort, openedMs, lostMs }: Loss, killed: readonly Killed[]): boolean {
  return killed.some(
    ({ atMs, accepted }) => openedMs <= atMs && atMs <= lostMs && accepted.has(localPort),
  );
}

/** Without the sidecar: whoever comes while nobody listens is refused. */
export function assertRefused({ tally }: Measured): void {
  assert.ok(tally.refused > 0, "nobody was refused");
  assert.equal(tally.other, 0, "the clients failed by themselves");
}

/** Nobody was lost but those that a killed server had accepted. */
export function assertHeld({ stops, tally, unproven }: Measured, way: Way): void {
  assert.deepEqual(unproven, []);
  // A killed server's connections end in the middle, and in no other way.
  const { ok, reset, short } = tally;
  const ended = way === "SIGKILL" ? { reset, short } : {};
  assert.deepEqual(tally, { ...noVisits(), ok, ...ended });
  assert.ok(ok > 0);
  if (way === "SIGKILL") assert.ok(reset + short >= stops * SILENT, "there was nothing to prove");
}
