/** A set of outages, each without the sidecar, and all at once with one sidecar that holds. */
import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { lost } from "../helpers/load/client.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { holds, SidecarProcess } from "../helpers/product/sidecar.ts";
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

/** Returns HOLD_CYCLES, or `fallback` if it is not set. */
export function times(fallback: number): number {
  return Number(process.env["HOLD_CYCLES"] ?? fallback);
}

/** @param firstPort the first of consecutive ports, one for each outage */
export function outages(title: string, firstPort: number, all: readonly Outage[]): void {
  const cases = all.map((outage, i) => ({ outage, port: firstPort + i }));
  const patience = Math.max(...all.map(({ times, gapMs }) => times * (gapMs + 5000)));
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
    const servers = cases.map(({ outage, port }) => serverOf(outage, port));
    let sidecar: SidecarProcess | undefined;
    before(async () => {
      await Promise.all(servers.map((server) => server.start()));
      const specs = cases.map(({ outage, port }) => specOf(outage, port));
      sidecar = await SidecarProcess.attach(...specs, "--hold", HOLD);
    });
    after(async () => {
      try {
        await sidecar?.stop();
      } finally {
        await sidecar?.[Symbol.asyncDispose]();
        for (const server of servers) await server[Symbol.asyncDispose]();
      }
    });
    for (const [i, { outage, port }] of cases.entries()) {
      test(nameOf(outage), async (t) => {
        const measured = await stopAndStart(servers[i] as Restartable, outage);
        const ended = holds((await sidecar?.metrics()) ?? "", specOf(outage, port));
        report(t, "with", measured);
        t.diagnostic(`holds: ${JSON.stringify(ended)}`);
        for (const line of sidecar?.warnings() ?? []) {
          if (line.includes(`:${port}:`)) t.diagnostic(line);
        }
        assertHeld(measured, outage.way);
        // A service of two groups has a hold in each group.
        const each = outage.times * (outage.spec === "" ? (outage.addresses?.length ?? 1) : 1);
        assert.deepEqual(ended, { started: each, handed_over: each, expired: 0, released: 0 });
      });
    }
  });
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
