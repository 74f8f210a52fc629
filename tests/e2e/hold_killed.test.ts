/**
 * The sidecar is killed during a hold, and started again while no server listens. Only two kinds of
 * connections are lost: those its standby held, and those that arrive before the new sidecar is
 * ready.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Loss } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { type Connections, connectionsWith } from "../helpers/net/accepted.ts";
import { holds, SidecarProcess } from "../helpers/product/sidecar.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";
import { times } from "./outages.ts";
import { Restartable } from "./restartable.ts";
import { recipe } from "./restartable_recipes.ts";
import { table } from "./scenario.ts";

const PORT = 8150;
const SPEC = `127.0.0.1:${PORT}`;
const LOAD = { port: PORT, rate: 100, concurrency: 2000, limit: Number.MAX_SAFE_INTEGER };
/**
 * The least number of queued connections when the sidecar is killed, and when the server starts.
 */
const HELD = 20;
const PAUSE_MS = 300;
const ROUNDS = times(3);

/** One kill of the sidecar. Times are Date.now(). */
interface Kill {
  /** Client ports of the connections that were queued at `readMs`. */
  readonly held: ReadonlySet<number>;
  readonly readMs: number;
  readonly killedMs: number;
  /** When the next sidecar was READY. */
  readonly readyMs: number;
}

test("a sidecar killed during a hold loses only the connections its standby held", {
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
    await queued(HELD);
    assert.equal(groupOf(PORT).hold?.holding, true);
    await server.start();
  }
  await sleep(PAUSE_MS);
  const tally = await load.stop();
  const ended = holds(await sidecar.metrics(), SPEC);
  table(t, "kills", [{ run: "killed during a hold", reloads: ROUNDS, tally }]);
  t.diagnostic(`held when it was killed: ${kills.map(({ held }) => held.size).join(", ")}`);
  t.diagnostic(`holds: ${JSON.stringify(ended)}`);

  assert.deepEqual(
    load.losses.filter((loss) => !kills.some((kill) => explains(kill, loss))),
    [],
  );
  assert.ok(tally.refused > 0, "no connection arrived while no sidecar ran");
  assert.ok(tally.reset + tally.short > 0, "the killed sidecar held no connection");
  // The next sidecar continues the hold.
  assert.deepEqual(ended, { started: ROUNDS, handed_over: ROUNDS, expired: 0, released: 0 });
  await sidecar.stop();
});

async function queued(count: number): Promise<Connections> {
  return until(`${count} connections are queued`, async () => {
    const now = await connectionsWith(PORT);
    return now.waiting.size >= count ? now : null;
  });
}

async function killWhileHolding(sidecar: SidecarProcess): Promise<Kill> {
  await queued(HELD);
  const readMs = Date.now();
  const { waiting: held } = await connectionsWith(PORT);
  await sidecar.kill();
  const killedMs = Date.now();
  await sidecar.start();
  return { held, readMs, killedMs, readyMs: Date.now() };
}

/** Whether the killed sidecar held the connection, or it arrived before the next sidecar. */
function explains(kill: Kill, { kind, localPort, openedMs, lostMs }: Loss): boolean {
  const { held, readMs, killedMs, readyMs } = kill;
  if (kind === "refused") return readMs <= lostMs && openedMs <= readyMs;
  const wasHeld = held.has(localPort) || openedMs >= readMs;
  return wasHeld && openedMs <= killedMs && readMs <= lostMs;
}
