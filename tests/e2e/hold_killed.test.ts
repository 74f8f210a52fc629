/**
 * The sidecar is killed in the middle of a hold, and started again while nobody listens yet. What
 * its standby held is lost with it, who comes before the new one is there is refused, nobody else.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Loss } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { type Connections, connectionsWith } from "../helpers/net/accepted.ts";
import { holds, SidecarProcess } from "../helpers/product/sidecar.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { Restartable } from "../helpers/servers/restartable.ts";
import { recipe } from "../helpers/servers/stop_start_servers.ts";
import { until } from "../helpers/until.ts";
import { times } from "./outages.ts";
import { table } from "./scenario.ts";

const PORT = 8150;
const SPEC = `127.0.0.1:${PORT}`;
const LOAD = { port: PORT, rate: 100, concurrency: 2000, limit: Number.MAX_SAFE_INTEGER };
/** So many wait at least when the sidecar is killed, and again when the server is back. */
const HELD = 20;
const PAUSE_MS = 300;
const ROUNDS = times(3);

/** One kill of the sidecar. Times are Date.now(). */
interface Kill {
  /** Client ports of those who waited at `lookedMs`. */
  readonly held: ReadonlySet<number>;
  readonly lookedMs: number;
  readonly killedMs: number;
  /** The next sidecar was READY. */
  readonly backMs: number;
}

test("a sidecar that is killed while it holds", {
  timeout: 60_000 + ROUNDS * 10_000,
}, async (t) => {
  await using server = new Restartable(recipe("nginx", { port: PORT, addresses: ["127.0.0.1"] }));
  await server.start();
  await using sidecar = await SidecarProcess.attach(SPEC, "--hold", "30s");
  using load = await LoadClient.start(LOAD);
  const kills: Kill[] = [];
  for (let n = 0; n < ROUNDS; n++) {
    await sleep(PAUSE_MS);
    await server.stop();
    kills.push(await killWhileHolding(sidecar));
    await waiting(HELD);
    assert.equal(groupOf(PORT).hold?.holding, true);
    await server.start();
  }
  await sleep(PAUSE_MS);
  const tally = await load.stop();
  const ended = holds(await sidecar.metrics(), SPEC);
  table(t, "kills", [{ run: "killed while it holds", reloads: ROUNDS, tally }]);
  t.diagnostic(`held when it was killed: ${kills.map(({ held }) => held.size).join(", ")}`);
  t.diagnostic(`holds: ${JSON.stringify(ended)}`);

  assert.deepEqual(
    load.losses.filter((loss) => !kills.some((kill) => explains(kill, loss))),
    [],
  );
  assert.ok(tally.refused > 0, "nobody came while there was no sidecar");
  assert.ok(tally.reset + tally.short > 0, "the killed sidecar held nobody");
  // The next sidecar goes on with the hold of the one before.
  assert.deepEqual(ended, { started: ROUNDS, handed_over: ROUNDS, expired: 0, released: 0 });
  await sidecar.stop();
});

async function waiting(count: number): Promise<Connections> {
  return until(`${count} connections wait`, async () => {
    const now = await connectionsWith(PORT);
    return now.waiting.size >= count ? now : null;
  });
}

async function killWhileHolding(sidecar: SidecarProcess): Promise<Kill> {
  await waiting(HELD);
  const lookedMs = Date.now();
  const { waiting: held } = await connectionsWith(PORT);
  await sidecar.kill();
  const killedMs = Date.now();
  await sidecar.start();
  return { held, lookedMs, killedMs, backMs: Date.now() };
}

/** It waited at the standby of the killed sidecar, or came while there was none. */
function explains(kill: Kill, { kind, localPort, openedMs, lostMs }: Loss): boolean {
  const { held, lookedMs, killedMs, backMs } = kill;
  if (kind === "refused") return lookedMs <= lostMs && openedMs <= backMs;
  const waited = held.has(localPort) || openedMs >= lookedMs;
  return waited && openedMs <= killedMs && lookedMs <= lostMs;
}
