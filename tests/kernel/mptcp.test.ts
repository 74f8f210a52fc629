/** Connections to MPTCP listeners, which no program can select, when a listener closes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Observer } from "../../loader/observe/observer.ts";
import { tally } from "../helpers/load/peer.ts";
import { kernelMigrations, migrationsSince } from "../helpers/net/netstat.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo, type State } from "../helpers/scene/stages.ts";
import { groupOf, migratingDecisions } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;
const PLAIN = {};
const MPTCP = { mptcp: true };

/** Closes the first of two listeners with connections in `state`: how many the second served. */
async function close(s: Scene, state: State, from: object, to: object, attach: boolean) {
  s.sysctl("net.ipv4.tcp_migrate_req", 0);
  const before = kernelMigrations();
  const old = await s.listener(from);
  const { peers, release } = await bringTo(state, COUNT, s);
  const next = await s.listener(to);
  await next.serve();
  if (attach) await s.sidecar();
  await old.close();
  release();
  const result = await tally(peers);
  const served = result[String(next.process.pid)] ?? 0;
  return { served, reset: result["ECONNRESET"] ?? 0, counted: migrationsSince(before) };
}

/** Decisions by outcome: on a slow machine the SYN-ACK timer may be faster than the final ACK. */
function outcomes(s: Scene): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [name, count] of Object.entries(migratingDecisions(groupOf(s.port)))) {
    const outcome = name.slice(name.indexOf("/") + 1);
    found[outcome] = (found[outcome] ?? 0) + count;
  }
  return found;
}

describe("connections of plain clients, when their listener closes", () => {
  for (const state of ["accept queue", "final ack"] as const) {
    test(
      `MPTCP to MPTCP, ${state}: reset without us`,
      scene(async (s) => {
        const { served, reset } = await close(s, state, MPTCP, MPTCP, false);
        assert.deepEqual([served, reset], [0, COUNT]);
      }),
    );
  }
  for (const [what, from, to, outcome] of [
    ["MPTCP to MPTCP", MPTCP, MPTCP, "fallback/no_target"],
    ["plain to MPTCP", PLAIN, MPTCP, "fallback/no_target"],
    ["MPTCP to plain", MPTCP, PLAIN, "selected"],
  ] as const) {
    for (const state of ["accept queue", "final ack"] as const) {
      test(
        `${what}, ${state}: served with us, each counted once`,
        scene(async (s) => {
          const { served, reset, counted } = await close(s, state, from, to, true);
          assert.deepEqual([served, reset, counted], [COUNT, 0, COUNT]);
          assert.deepEqual(outcomes(s), { [outcome]: COUNT });
        }),
      );
    }
  }
});

/** The kernel resets those of the queue itself; half-open ones that migrate trip a WARN in it. */
describe("clients that speak MPTCP", () => {
  test(
    "are served with us",
    scene(async (s) => {
      const listeners = [await s.listener(MPTCP), await s.listener(MPTCP)];
      for (const listener of listeners) await listener.serve();
      await s.sidecar();
      const served = await tally(await s.peers(COUNT, { mptcp: true }));
      assert.equal(
        listeners.reduce((sum, { process }) => sum + (served[process.pid] ?? 0), 0),
        COUNT,
      );
    }),
  );
  for (const [what, to] of [
    ["MPTCP", MPTCP],
    ["plain", PLAIN],
  ] as const) {
    test(
      `are not handed on half-open, to ${what}: dropped, and counted`,
      scene(async (s) => {
        const { served } = await leave(s, to, true, true);
        assert.equal(served, 0);
        assert.deepEqual(outcomes(s), { dropped: COUNT });
      }),
    );
  }
  for (const attach of [false, true]) {
    test(
      `are reset in the accept queue, ${attach ? "with us too" : "without us"}`,
      scene(async (s) => {
        const { served } = await leave(s, MPTCP, false, attach);
        assert.equal(served, 0);
      }),
    );
  }
});

/**
 * Closes an MPTCP listener with MPTCP clients, half-open or queued: how many the next one served.
 */
async function leave(s: Scene, to: object, held: boolean, attach: boolean) {
  s.sysctl("net.ipv4.tcp_migrate_req", 0);
  const old = await s.listener(MPTCP);
  const release = held ? s.hold() : () => {};
  const peers = await s.peers(COUNT, { mptcp: true });
  await until("all are there", () => waiting(s, held ? "halfOpen" : "length") === COUNT);
  const next = await s.listener(to);
  await next.serve();
  if (attach) await s.sidecar();
  await old.close();
  release();
  const { [next.process.pid]: served = 0 } = await tally(peers);
  return { served };
}

/** Connections at the scene's listeners, MPTCP ones included. */
function waiting(s: Scene, where: "halfOpen" | "length"): number {
  using observer = new Observer();
  const { listeners, queues } = observer.read();
  const here = listeners.filter(({ key }) => key.port === s.port);
  return here.reduce((sum, { cookie }) => sum + (queues.get(cookie)?.[where] ?? 0), 0);
}
