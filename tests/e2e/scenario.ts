/** What all servers go through: reload after reload, under load, with handshakes held open across each close. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { add, connections, lost, noVisits, type Tally } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { HalfOpen, type Held } from "../helpers/load/half_open.ts";
import { Races } from "../helpers/load/raced.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import type { Migrated } from "../helpers/product/sidecar.ts";

export interface Scenario {
  port: number;
  reloads: number;
  /** Does the n-th reload, the first is 1; returns when the old listeners are closed. */
  reload: (n: number) => Promise<void>;
}

export interface Measured {
  reloads: number;
  /** Connections of the steady load. */
  load: Tally;
  /** Handshakes held open across a close and finished soon after. */
  held: Tally;
  /** The same, held until the SYN-ACK timer had fired. */
  heldLong: Tally;
  /** Of all of them, those that the kernel's own race has reset. */
  raced: number;
}

/**
 * Moderate: the kernel's own race (helpers/raced.ts), of which no program is asked, resets a connection
 * now and then, in proportion to the rate: about one in ten runs of a hundred reloads here.
 */
const LOAD = { rate: 300, concurrency: 200, limit: 500_000 };
const HELD_EACH = 20;
/** Every so many batches is held long. Odd, because nginx's reloads alternate. */
const LONG_EVERY = 5;
/** The SYN-ACK timer fires after 1 s. */
const LONG_MS = 1300;
/** Between two reloads. */
const PAUSE_MS = 150;
/** More than this are no accident. */
const MAX_RACED = 3;

export async function reloadUnderLoad({ port, reloads, reload }: Scenario): Promise<Measured> {
  // The kernel's own migration would hide what is measured here.
  setSysctl("net.ipv4.tcp_migrate_req", 0);
  await using filter = await HalfOpen.install(port);
  using races = new Races(port);
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
  measured.raced = races.count;
  return measured;
}

export function assertSomeLost({ load, held, heldLong, raced }: Measured): void {
  const all = lost(load) + lost(held) + lost(heldLong);
  assert.ok(all > raced, "the scenario shows no loss but the kernel's own");
  assert.equal(load.other + held.other + heldLong.other, 0, "the clients failed by themselves");
}

/** Nothing was lost but what no program is asked about, and there were handshakes to lose. */
export function assertNoneLost(
  { load, held, heldLong, raced }: Measured,
  migrated: Migrated,
): void {
  const tallies = [load, held, heldLong];
  const reset = tallies.reduce((sum, tally) => sum + tally.reset, 0);
  for (const tally of tallies) {
    const ok = connections(tally) - tally.reset;
    assert.deepEqual(tally, { ...noVisits(), ok, reset: tally.reset });
    assert.ok(tally.ok > 0);
  }
  assert.equal(reset, raced, "every reset is the kernel's own race, by the stack it was sent from");
  assert.ok(raced <= MAX_RACED, `${raced} resets by the kernel's own race`);
  assert.ok(migrated.handshake_ack > 0);
  assert.ok(migrated.handshake_timer > 0);
}

export interface Row {
  run: string;
  reloads: number;
  tally: Tally;
}

/** Prints a line for each of `rows`; `rounds` says what its number of reloads is here. */
export function table(t: TestContext, rounds: string, rows: readonly Row[]): void {
  t.diagnostic(line("", rounds, "conns", "lost", "refused", "reset", "timeout", "short", "other"));
  for (const { run, reloads, tally } of rows) {
    const { refused, reset, timeout, short, other } = tally;
    t.diagnostic(
      line(run, reloads, connections(tally), lost(tally), refused, reset, timeout, short, other),
    );
  }
}

/** Prints what was measured, a line each. */
export function report(t: TestContext, rows: readonly Row[], migrated?: Migrated): void {
  table(t, "reloads", rows);
  if (!migrated) return;
  const stages = Object.entries(migrated).map(([stage, count]) => `${stage} ${count}`);
  t.diagnostic(`migrated: ${stages.join(", ")}`);
}

/** The rows of {@link reloadUnderLoad}: its three kinds of client. */
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
