/**
 * Reloads under load, with half-open handshakes across each close: the suite of every reloaded
 * server.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { add, connections, lost, noVisits, type Tally } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { HalfOpen, type Held } from "../helpers/load/half_open.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { type Migrated, migrated, SidecarProcess } from "../helpers/product/sidecar.ts";
import { KernelRaces } from "./kernel_races.ts";

interface Scenario {
  port: number;
  reloads: number;
  /** Does the n-th reload, counted from 1; returns when the old listeners are closed. */
  reload: (n: number) => Promise<void>;
}

interface Measured {
  reloads: number;
  /** Connections of the steady load. */
  load: Tally;
  /** Handshakes that were half open across a close and completed soon after. */
  held: Tally;
  /** Handshakes that were half open until the SYN-ACK timer had fired. */
  heldLong: Tally;
  /** Connections of any kind that the kernel's own race has reset. */
  raced: number;
}

/**
 * Moderate, as the kernel's own race (kernel_races.ts) resets connections in proportion to the
 * rate: about one in ten runs of a hundred reloads here.
 */
const LOAD = { rate: 300, concurrency: 200, limit: 500_000 };
const HELD_EACH = 20;
/** Every fifth batch is held long; an odd number, as the reloads of nginx alternate. */
const LONG_EVERY = 5;
/** The SYN-ACK timer fires after 1 s. */
const LONG_MS = 1300;
/** Between two reloads. */
const PAUSE_MS = 150;
/** More resets than this are not the race. */
const MAX_RACED = 3;

/** A server that reloads while it serves, and what is special about its suite. */
export interface ReloadSuite<Server extends AsyncDisposable> {
  /** The subject of the test names. */
  readonly name: string;
  readonly port: number;
  /** Default: the port on 127.0.0.1. */
  readonly spec?: string;
  readonly start: (port: number) => Promise<Server>;
  /** With the sidecar; default: 100. */
  readonly reloads?: number;
  /** Does the n-th reload, counted from 1; returns when the old listeners are closed. */
  readonly reload: (server: Server, n: number) => Promise<void>;
  /** Whether some reloads find connections in the accept queue, so that they must be migrated. */
  readonly isBehind?: boolean;
  /** More arguments of `attach`. */
  readonly options?: readonly string[];
  /** Called with the sidecar before the first reload; what it returns ends after the last. */
  readonly around?: (sidecar: SidecarProcess) => Promise<AsyncDisposable>;
  /** Called with the sidecar before the n-th reload. */
  readonly beforeReload?: (sidecar: SidecarProcess, n: number) => Promise<void>;
  /** Checks the metrics at the end. */
  readonly check?: (metrics: string) => void;
}

/** Reloads without the sidecar, which must lose connections, and with it, which must lose none. */
export function reloadSuite<Server extends AsyncDisposable>(suite: ReloadSuite<Server>): void {
  const { name, port, start, reload, isBehind = false, beforeReload, check, around } = suite;
  const spec = suite.spec ?? `127.0.0.1:${port}`;

  test(`${name}: reloads without the sidecar lose connections`, { timeout: 120_000 }, async (t) => {
    await using server = await start(port);
    const measured = await reloadUnderLoad({ port, reloads: 10, reload: (n) => reload(server, n) });
    report(t, rowsOf("without", measured));
    assertSomeLost(measured);
  });

  test(`${name}: reloads with the sidecar lose none`, { timeout: 240_000 }, async (t) => {
    await using server = await start(port);
    await using sidecar = await SidecarProcess.attach(spec, ...(suite.options ?? []));
    await using _around = await around?.(sidecar);
    const measured = await reloadUnderLoad({
      port,
      reloads: suite.reloads ?? 100,
      reload: async (n) => {
        await beforeReload?.(sidecar, n);
        await reload(server, n);
      },
    });
    const metrics = await sidecar.metrics();
    const counts = migrated(metrics);
    report(t, rowsOf("with", measured), counts);
    assertNoneLost(measured);
    assert.ok(measured.heldLong.ok > 0 && counts.handshake_ack > 0 && counts.handshake_timer > 0);
    if (isBehind) assert.ok(counts.accept_queue > 0);
    check?.(metrics);
    await sidecar.stop();
  });
}

export async function reloadUnderLoad({ port, reloads, reload }: Scenario): Promise<Measured> {
  // The kernel's own migration would hide the losses.
  setSysctl("net.ipv4.tcp_migrate_req", 0);
  await using filter = await HalfOpen.install(port);
  using races = new KernelRaces();
  using client = await LoadClient.start({ ...LOAD, port });
  const batches: { held: Held; long: boolean; released: Promise<void> }[] = [];
  for (let n = 1; n <= reloads; n++) {
    const held = await filter.hold(HELD_EACH);
    await reload(n);
    const long = n % LONG_EVERY === 0;
    const released = long ? sleep(LONG_MS).then(() => held.release()) : held.release();
    batches.push({ held, long, released });
    await sleep(PAUSE_MS);
  }
  const [load, held, heldLong] = [noVisits(), noVisits(), noVisits()];
  const measured = { reloads, load, held, heldLong, raced: 0 };
  for (const { held, long, released } of batches) {
    await released;
    add(long ? measured.heldLong : measured.held, await held.tally);
  }
  measured.load = await client.stop();
  measured.raced = races.countAt(port);
  return measured;
}

export function assertSomeLost({ load, held, heldLong, raced }: Measured): void {
  const all = lost(load) + lost(held) + lost(heldLong);
  assert.ok(all > raced, "the scenario loses no connection except by the kernel's own race");
  assert.equal(load.other + held.other + heldLong.other, 0, "a client failed by itself");
}

/** Asserts that only the kernel's own race lost connections. */
export function assertNoneLost({ load, held, heldLong, raced }: Measured): void {
  const tallies = [load, held, heldLong];
  const reset = tallies.reduce((sum, tally) => sum + tally.reset, 0);
  for (const tally of tallies) {
    const ok = connections(tally) - tally.reset;
    assert.deepEqual(tally, { ...noVisits(), ok, reset: tally.reset });
  }
  assert.ok(load.ok > 0 && held.ok > 0);
  // The race is counted in every network namespace; guides are tested two at a time.
  assert.ok(reset <= raced, "a reset was not sent by the kernel's own race");
  assert.ok(raced <= MAX_RACED, `the kernel's own race reset ${raced} connections`);
}

export interface Row {
  run: string;
  reloads: number;
  tally: Tally;
}

/** Prints a line for each of `rows`; `rounds` is the heading of the number of reloads. */
export function table(t: TestContext, rounds: string, rows: readonly Row[]): void {
  t.diagnostic(line("", rounds, "conns", "lost", "refused", "reset", "timeout", "short", "other"));
  for (const { run, reloads, tally } of rows) {
    const { refused, reset, timeout, short, other } = tally;
    t.diagnostic(
      line(run, reloads, connections(tally), lost(tally), refused, reset, timeout, short, other),
    );
  }
}

/** Prints the tallies, and the migrated connections by stage. */
export function report(t: TestContext, rows: readonly Row[], migrated?: Migrated): void {
  table(t, "reloads", rows);
  if (!migrated) return;
  const stages = Object.entries(migrated).map(([stage, count]) => `${stage} ${count}`);
  t.diagnostic(`migrated: ${stages.join(", ")}`);
}

/** Returns one row for each kind of client in {@link reloadUnderLoad}. */
export function rowsOf(run: string, { reloads, load, held, heldLong }: Measured): Row[] {
  return [
    { run: `${run}: load`, reloads, tally: load },
    { run: `${run}: held`, reloads, tally: held },
    { run: `${run}: held 1.3 s`, reloads, tally: heldLong },
  ];
}

function line(name: string, ...cells: (string | number)[]): string {
  return name.padEnd(32) + cells.map((cell) => String(cell).padStart(8)).join("");
}
