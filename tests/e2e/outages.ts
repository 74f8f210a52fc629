/** A set of outages, each without the sidecar, and all at once with one sidecar that holds. */
import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { lost } from "../helpers/load/client.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { keepersLeft } from "../helpers/product/keepers.ts";
import { holds, SidecarProcess } from "../helpers/product/sidecar.ts";
import { KernelRaces } from "./kernel_races.ts";
import { Killer, type Moment, SEED } from "./killer.ts";
import { Restartable } from "./restartable.ts";
import { recipe, type ServerName } from "./restartable_recipes.ts";
import { table } from "./scenario.ts";
import { assertHeld, assertRefused, type Measured, stopAndStart, type Way } from "./stop_start.ts";

export interface Outage {
  /** The special property of its group, if any. */
  readonly name?: string;
  readonly server: ServerName;
  readonly way: Way;
  readonly gapMs: number;
  /** New connections per second. */
  readonly rate: number;
  readonly times: number;
  /** Addresses of the listeners; default 127.0.0.1. */
  readonly addresses?: readonly string[];
  /** The sidecar's SPEC up to the port; default 127.0.0.1. */
  readonly spec?: string;
  readonly under?: readonly string[];
}

/** Longer than any gap and a slow start together. */
const HOLD = "15s";
/** Generous on purpose: it only ends a test that hangs. */
const TIMEOUT_MS = 60_000;

/** Returns HOLD_CYCLES, which `make soak` sets, or `fallback`. */
export function cycles(fallback: number): number {
  return Number(process.env["HOLD_CYCLES"] ?? fallback);
}

interface Case {
  readonly outage: Outage;
  readonly port: number;
}

/** @param firstPort the first of consecutive ports, one for each outage */
export function outages(title: string, firstPort: number, all: readonly Outage[]): void {
  const cases = all.map((outage, i) => ({ outage, port: firstPort + i }));
  const patience = Math.max(...all.map(({ times, gapMs }) => cycles(times) * (gapMs + 15_000)));
  const options = { concurrency: true, timeout: TIMEOUT_MS + patience };
  // The kernel's own migration has no effect while no server listens.
  setSysctl("net.ipv4.tcp_migrate_req", 0);

  describe(`${title}, without the sidecar`, options, () => {
    for (const { outage, port } of cases) {
      test(nameOf(outage), async (t) => {
        await using server = serverOf(outage, port);
        await server.start();
        const measured = await stopAndStart(server, { ...outage, times: 1 });
        report(t, "without", measured);
        assertRefused(measured);
      });
    }
  });

  describe(`${title}, with a sidecar that holds`, options, () => {
    const held = new Held(cases);
    before(() => held.start());
    after(() => held.end());
    for (const one of cases) {
      const { outage, port } = one;
      test(nameOf(outage), async (t) => {
        const measured = await held.stopAndStart(one, outage.times);
        const ended = await held.holds(one);
        report(t, "with", measured);
        t.diagnostic(`holds: ${JSON.stringify(ended)}`);
        for (const line of held.sidecar.warnings()) {
          if (line.includes(`:${port}:`)) t.diagnostic(line);
        }
        held.assertNoneLost(one, measured);
        // A service of two groups has a hold in each group.
        const each = outage.times * (outage.spec === "" ? (outage.addresses?.length ?? 1) : 1);
        assert.deepEqual(ended, { started: each, handed_over: each, expired: 0, released: 0 });
      });
    }
  });

  describe(`${title}, with a sidecar that is killed: SOAK_SEED=${SEED}`, options, () => {
    const held = new Held(cases);
    let killer: Killer | undefined;
    before(async () => {
      await held.start();
      killer = new Killer(held.sidecar, firstPort);
    });
    after(async () => {
      try {
        await killer?.end();
        for (const one of cases) {
          const { expired, released } = await held.holds(one);
          assert.deepEqual({ expired, released }, { expired: 0, released: 0 }, nameOf(one.outage));
        }
      } finally {
        await held.end();
      }
    });
    for (const one of cases) {
      const { outage } = one;
      test(nameOf(outage), async (t) => {
        const tell = (moment: Moment) => killer?.emit(moment);
        const measured = await held.stopAndStart(one, cycles(outage.times), tell);
        report(t, "killed", measured);
        t.diagnostic(`kills so far: ${JSON.stringify(killer?.kills)}`);
        if (measured.unproven.length > 0) t.diagnostic(held.sidecar.allOutput());
        held.assertNoneLost(one, measured);
      });
    }
  });
}

/** The servers of all cases, and one sidecar that holds. */
class Held {
  readonly #servers: ReadonlyMap<Case, Restartable>;
  #sidecar: SidecarProcess | undefined;
  #races: KernelRaces | undefined;

  constructor(cases: readonly Case[]) {
    this.#servers = new Map(cases.map((one) => [one, serverOf(one.outage, one.port)]));
  }

  get sidecar(): SidecarProcess {
    if (this.#sidecar === undefined) throw new Error("the sidecar was not started");
    return this.#sidecar;
  }

  async start(): Promise<void> {
    this.#races = new KernelRaces();
    await Promise.all([...this.#servers.values()].map((server) => server.start()));
    const specs = [...this.#servers.keys()].map(({ outage, port }) => specOf(outage, port));
    this.#sidecar = await SidecarProcess.attach(...specs, "--hold", HOLD);
  }

  stopAndStart(
    one: Case,
    times: number,
    tell: (moment: Moment) => void = () => {},
  ): Promise<Measured> {
    return stopAndStart(this.#servers.get(one) as Restartable, { ...one.outage, times }, tell);
  }

  async holds({ outage, port }: Case): Promise<Record<string, number>> {
    return holds(await this.sidecar.metrics(), specOf(outage, port));
  }

  assertNoneLost({ outage, port }: Case, measured: Measured): void {
    assertHeld(measured, outage.way, this.#races?.countAt(port) ?? 0);
  }

  async end(): Promise<void> {
    try {
      await this.#sidecar?.stop();
      await keepersLeft(0);
    } finally {
      this.#races?.[Symbol.dispose]();
      await this.#sidecar?.[Symbol.asyncDispose]();
      for (const server of this.#servers.values()) await server[Symbol.asyncDispose]();
    }
  }
}

function serverOf({ server, addresses, under }: Outage, port: number): Restartable {
  const where = { port, addresses: addresses ?? ["127.0.0.1"], ...(under && { under }) };
  return new Restartable(recipe(server, where));
}

function specOf({ spec = "127.0.0.1" }: Outage, port: number): string {
  return `${spec}:${port}`;
}

function nameOf({ name, server, way, gapMs }: Outage): string {
  return `${server}, ${way}, ${gapMs / 1000} s${name ? `, ${name}` : ""}`;
}

function report(t: TestContext, run: string, { stops, tally, unproven }: Measured): void {
  table(t, "stops", [{ run, reloads: stops, tally }]);
  if (lost(tally) > 0) t.diagnostic(`lost, not proven to have been accepted: ${unproven.length}`);
}
