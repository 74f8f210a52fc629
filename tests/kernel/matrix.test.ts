/**
 * Every way a listener leaves, every state its connections are in: all of them
 * are served by the other listener, and each decision is counted once.
 * control.test.ts is the same without us.
 */
import assert from "node:assert/strict";
import { setPriority } from "node:os";
import { describe, test } from "node:test";
import { tally } from "../helpers/load/peer.ts";
import { kernelMigrations, migrationsSince } from "../helpers/net/netstat.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo, STATES, type State } from "../helpers/scene/stages.ts";
import { groupOf, listenerOf, migratingDecisions } from "../helpers/scene/status.ts";
import { WAYS, type Way } from "../helpers/servers/listener.ts";
import { until } from "../helpers/until.ts";

try {
  // A final ACK must come within a second of its SYN, also where others keep all CPUs busy.
  setPriority(-20);
} catch {
  // not without CAP_SYS_NICE
}

const COUNT = 50;
const SYN_ACK_TIMEOUT_MS = 1_000; // TCP_TIMEOUT_INIT
const STAGE: Readonly<Record<State, string>> = {
  "accept queue": "accept_queue",
  "fast open": "accept_queue",
  "final ack": "handshake_ack",
  timer: "handshake_timer",
};

/** False: the machine was so slow that the SYN-ACK timer came before the final ACKs. */
async function migratesAll(s: Scene, state: State, way: Way): Promise<boolean> {
  const before = kernelMigrations();
  const fastOpen = state === "fast open";
  const other = await s.process();
  const dual = s.address !== s.to;
  const old = await s.listener({ fastOpen, dual });
  const sidecar = await s.sidecar();
  const startMs = Date.now();
  const { peers, release } = await bringTo(state, COUNT, s);
  const next = await s.listener({ fastOpen, dual }, other);
  await sidecar.reconcile();

  await old.leave(way);
  if (state === "timer") {
    const all = () => migratingDecisions(groupOf(s.port))["handshake_timer/selected"] === COUNT;
    await until("the SYN-ACK timer of every request has fired", all, 20);
  }
  release();
  // Not for the final ACK: the last half and a retransmission of the first could race there,
  // and both ask for a decision.
  if (state === "timer") for (const peer of peers) peer.finish();
  // Accepting later than migrating: waking up is the matter of wakeup.test.ts.
  const arrived = () => groupOf(s.port).listeners[0]?.queueLength === COUNT;
  await until("every connection is queued at the other listener", arrived, 20);
  const late = state === "final ack" && Date.now() - startMs >= SYN_ACK_TIMEOUT_MS;
  await next.serve();
  assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });

  await sidecar.reconcile();
  const group = groupOf(s.port);
  const made = migratingDecisions(group);
  const sum = Object.values(made).reduce((a, b) => a + b, 0);
  assert.equal(sum, migrationsSince(before), "TCPMigrateReqSuccess + TCPMigrateReqFailure");
  if (late) return false;
  assert.deepEqual(made, { [`${STAGE[state]}/selected`]: COUNT });
  assert.equal(listenerOf(group, next.cookie).migratedInto, COUNT);
  assert.deepEqual(group.closed, { out: COUNT, into: 0 });
  return true;
}

interface Cell {
  readonly state: State;
  readonly way: Way;
  readonly address: string;
  /** Where clients connect to, when it is not the listeners' address. */
  readonly to?: string;
  readonly sysctl?: 0 | 1;
}

/** Runs a cell, and again while it could not tell. */
async function run({ state, way, address, to = address, sysctl = 0 }: Cell): Promise<void> {
  for (let tries = 0; tries < 5; tries++) {
    let done = false;
    const body = async (s: Scene) => {
      s.sysctl("net.ipv4.tcp_migrate_req", sysctl);
      done = await migratesAll(s, state, way);
    };
    await scene(body, address, to)();
    if (done) return;
  }
  assert.fail("this machine is too slow to send a final ACK within a second");
}

for (const [family, address] of Object.entries({ ipv4: "127.0.0.1", ipv6: "::1" })) {
  describe(`${family}, tcp_migrate_req 0`, () => {
    for (const state of STATES) {
      for (const way of WAYS) {
        test(`${state}, ${way}`, () => run({ state, way, address }));
      }
    }
  });
}

/** Each state and each way once. */
const SOME: readonly (readonly [State, Way])[] = [
  ["accept queue", "SIGKILL"],
  ["fast open", "close"],
  ["final ack", "shutdown"],
  ["timer", "exit"],
];

describe("tcp_migrate_req 1 changes nothing", () => {
  for (const [state, way] of SOME) {
    test(`${state}, ${way}`, () => run({ state, way, address: "127.0.0.1", sysctl: 1 }));
  }
});

describe("IPv4 clients of IPv6 listeners without IPV6_V6ONLY", () => {
  for (const [state, way] of SOME) {
    test(`${state}, ${way}`, () => run({ state, way, address: "::", to: "127.0.0.1" }));
  }
});
