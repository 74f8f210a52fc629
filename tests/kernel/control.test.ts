/** What is lost without us: the negative control of matrix.test.ts, cell by cell. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { tally } from "../helpers/load/peer.ts";
import { halfOpen, kernelMigrations, migrationsSince } from "../helpers/net/netstat.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo, STATES, type State } from "../helpers/scene/stages.ts";
import { WAYS, type Way } from "../helpers/servers/listener.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;

async function losesAll(s: Scene, state: State, way: Way): Promise<void> {
  const before = kernelMigrations();
  const old = await s.listener({ fastOpen: state === "fast open" });
  const { peers, release } = await bringTo(state, COUNT, s);
  const next = await s.listener({ fastOpen: state === "fast open" });
  await next.serve();

  await old.leave(way);
  if (state === "timer") await until("the timer has reset all", () => halfOpen(s.port) === 0);
  release();

  assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
  assert.equal(migrationsSince(before), 0);
}

for (const [family, address] of Object.entries({ ipv4: "127.0.0.1", ipv6: "::1" })) {
  for (const state of STATES) {
    // Nothing is counted here, so those that wait for a timer may wait together.
    describe(`without us, ${family}, ${state}`, { concurrency: state === "timer" }, () => {
      for (const way of WAYS) {
        test(
          `${way}: every connection is reset`,
          scene((s) => losesAll(s, state, way), address),
        );
      }
    });
  }
}
