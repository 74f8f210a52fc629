/**
 * Outages under load: a server is stopped or killed, no process listens for a while, it is started
 * again.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type Kind, type Loss, noVisits, type Tally, visit } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { type Connections, connectionsWith } from "../helpers/net/accepted.ts";
import { until } from "../helpers/until.ts";
import type { Moment } from "./killer.ts";
import type { Restartable } from "./restartable.ts";

export const WAYS = ["graceful", "SIGKILL"] as const;
export type Way = (typeof WAYS)[number];

export interface Outages {
  readonly way: Way;
  readonly times: number;
  /** How long no process listens. */
  readonly gapMs: number;
  /** New connections per second. */
  readonly rate: number;
}

export interface Measured {
  readonly stops: number;
  readonly tally: Tally;
  /** Lost connections that are not proven to have been accepted by a killed server. */
  readonly unproven: readonly Loss[];
}

/** The moment of a SIGKILL. */
interface Killed {
  readonly atMs: number;
  /** Client ports of the connections the server had accepted and not closed. */
  readonly accepted: ReadonlySet<number>;
}

/** Between two outages: held connections are served, and the load is steady again. */
const PAUSE_MS = 300;
/** Accepted connections at each SIGKILL, which are lost with the server. */
const SILENT = 5;

/** @param told hears when the server is stopped, and when it is started */
export async function stopAndStart(
  server: Restartable,
  outages: Outages,
  told: (moment: Moment) => void = () => {},
): Promise<Measured> {
  const { port, hosts } = server.recipe;
  const { way, times, gapMs, rate } = outages;
  // Held connections count as open too.
  const concurrency = Math.ceil((rate * gapMs) / 1000) + 400;
  const limit = Number.MAX_SAFE_INTEGER;
  using load = await LoadClient.start({ port, hosts, rate, concurrency, limit });
  const killed: Killed[] = [];
  const silent: Promise<Kind>[] = [];
  const losses: Loss[] = [];
  for (let n = 0; n < times; n++) {
    await sleep(PAUSE_MS);
    if (way === "graceful") {
      told("stop");
      await server.stop();
    } else {
      silent.push(...(await acceptedBy(server, losses)));
      killed.push(await kill(server, () => told("stop")));
    }
    await sleep(gapMs);
    told("start");
    await server.start();
  }
  await sleep(PAUSE_MS);
  const tally = await load.stop();
  for (const kind of await Promise.all(silent)) tally[kind]++;
  losses.push(...load.losses);
  return { stops: times, tally, unproven: losses.filter((loss) => !proven(loss, killed)) };
}

/**
 * Opens connections that send no request, so that the server accepts them and cannot finish them.
 */
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
  await until("the silent connections are accepted", async () => {
    const { accepted } = await connectionsWith(port);
    return ports.length === SILENT && ports.every((each) => accepted.has(each));
  });
  return kinds;
}

/**
 * Kills the server while connections are queued; freezes it first, so that their number is exact.
 */
async function kill(server: Restartable, before: () => void): Promise<Killed> {
  const { port, reports } = server.recipe;
  await server.freeze();
  const found = await until("a connection is queued", async () => {
    const now = await connectionsWith(port);
    return now.waiting.size > 0 ? now : null;
  });
  const atMs = Date.now();
  if (reports) assertReported(found, server.reported());
  before();
  await server.kill();
  return { atMs, accepted: found.accepted };
}

/**
 * Asserts that the server has reported every accepted connection; one may be between accept(2) and
 * its report.
 */
function assertReported({ accepted }: Connections, reported: Set<number>): void {
  const unreported = [...accepted].filter((port) => !reported.has(port));
  assert.ok(unreported.length <= 1, `accepted, but not reported by the server: ${unreported}`);
}

/** Whether the connection was open at a SIGKILL and accepted before. */
function proven({ localPort, openedMs, lostMs }: Loss, killed: readonly Killed[]): boolean {
  return killed.some(
    ({ atMs, accepted }) => openedMs <= atMs && atMs <= lostMs && accepted.has(localPort),
  );
}

/** Asserts that connections are refused while no process listens, as without the sidecar. */
export function assertRefused({ tally }: Measured): void {
  assert.ok(tally.refused > 0, "no connection was refused");
  assert.equal(tally.other, 0, "a client failed by itself");
}

/**
 * Asserts that only connections accepted by a killed server were lost.
 * @param raced number of connections that the kernel's own race has reset (kernel_races.ts)
 */
export function assertHeld({ stops, tally, unproven }: Measured, way: Way, raced: number): void {
  assert.deepEqual(unproven.slice(raced), []);
  // The connections of a killed server are reset or cut short.
  const { ok, reset, short } = tally;
  const ended = way === "SIGKILL" ? { reset, short } : { reset: Math.min(reset, raced) };
  assert.deepEqual(tally, { ...noVisits(), ok, ...ended });
  assert.ok(ok > 0);
  if (way === "SIGKILL")
    assert.ok(reset + short >= stops * SILENT, "too few accepted connections were lost");
}
