/**
 * Every way a listener leaves, every state its connections are in: all of them
 * are served by the other listener, and each decision is counted once.
 * control.test.ts is the same without us.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { WAYS, type Way } from "../helpers/listener.ts";
import { kernelMigrations, migrationsSince } from "../helpers/netstat.ts";
import { tally } from "../helpers/peer.ts";
import { type Scene, scene } from "../helpers/scene.ts";
import { bringTo, STATES, type State } from "../helpers/stages.ts";
import { groupOf, listenerOf, migratingDecisions } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const COUNT = 50;
const STAGE: Readonly<Record<State, string>> = {
  "accept queue": "accept_queue",
  "fast open": "accept_queue",
  "final ack": "handshake_ack",
  timer: "handshake_timer",
};

async function migratesAll(s: Scene, state: State, way: Way): Promise<void> {
  const expected = { [`${STAGE[state]}/selected`]: COUNT };
  const before = kernelMigrations();
  const fastOpen = state === "fast open";
  const old = await s.listener({ fastOpen });
  const sidecar = s.sidecar();
  const { peers, release } = await bringTo(state, COUNT, s);
  const next = await s.listener({ fastOpen });
  sidecar.reconcile();

  await old.leave(way);
  if (state === "timer") {
    const all = () => migratingDecisions(groupOf(s.port))["handshake_timer/selected"] === COUNT;
    await until("the SYN-ACK timer of every request has fired", all, 50);
  }
  release();
  // Accepting later than migrating: waking up is the matter of wakeup.test.ts.
  const arrived = () => groupOf(s.port).listeners[0]?.queueLength === COUNT;
  await until("every connection is queued at the other listener", arrived, 20);
  await next.serve();
  assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });

  sidecar.reconcile();
  const group = groupOf(s.port);
  assert.deepEqual(migratingDecisions(group), expected);
  assert.equal(migrationsSince(before), COUNT, "TCPMigrateReqSuccess + TCPMigrateReqFailure");
  assert.equal(Number(listenerOf(group, next.cookie).migratedInto), COUNT);
  assert.deepEqual(group.closed, { out: BigInt(COUNT), into: 0n });
}

for (const [family, address] of Object.entries({ ipv4: "127.0.0.1", ipv6: "::1" })) {
  describe(`${family}, tcp_migrate_req 0`, () => {
    for (const state of STATES) {
      for (const way of WAYS) {
        test(
          `${state}, ${way}`,
          scene((s) => migratesAll(s, state, way), address),
        );
      }
    }
  });
}

describe("tcp_migrate_req 1 changes nothing", () => {
  const some: readonly (readonly [State, Way, string])[] = [
    ["accept queue", "SIGKILL", "127.0.0.1"],
    ["fast open", "close", "::1"],
    ["final ack", "shutdown", "127.0.0.1"],
    ["timer", "exit", "::1"],
  ];
  for (const [state, way, address] of some) {
    test(
      `${state}, ${way}, ${address}`,
      scene(async (s) => {
        s.sysctl("net.ipv4.tcp_migrate_req", 1);
        await migratesAll(s, state, way);
      }, address),
    );
  }
});
