/**
 * hold: when the last listener leaves, who waits and who comes is held, and served by the next one.
 * Each test that shows it holds shows first, or beside it, that the kernel alone does not.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Sidecar, SidecarOptions } from "../../loader/index.ts";
import { type Peer, tally } from "../helpers/load/peer.ts";
import { listening } from "../helpers/net/netstat.ts";
import { runCli } from "../helpers/product/cli.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo, type State } from "../helpers/scene/stages.ts";
import { decisions, groupOf, migratingDecisions } from "../helpers/scene/status.ts";
import type { Listener, Way } from "../helpers/servers/listener.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;
const HOLD = { timeMs: 600_000, max: 4096 };

const holdOf = (s: Scene) => groupOf(s.port).hold;

/** A sidecar that holds, beside one listener. */
async function held(s: Scene, options: Partial<SidecarOptions> = {}) {
  const listener = await s.listener({ dual: s.address === "::" });
  return { listener, sidecar: await s.sidecar({ hold: HOLD, ...options }) };
}

/** The last listener leaves, and the sidecar has seen it. */
async function leaveAlone(s: Scene, listener: Listener, sidecar: Sidecar): Promise<void> {
  await listener.close();
  await sidecar.reconcile();
  assert.equal(holdOf(s)?.holding, true);
}

/** The server listens and accepts again. */
async function back(s: Scene, sidecar: Sidecar): Promise<Listener> {
  const listener = await s.listener({ dual: s.address === "::" });
  await listener.serve();
  await sidecar.reconcile();
  return listener;
}

/**
 * Connections in `state` on the last listener and, once it has left, new ones; then a new listener.
 */
async function stopAndStart(s: Scene, state: State, way: Way, hold: boolean): Promise<Peer[]> {
  const fastOpen = state === "fast open";
  const dual = s.address === "::";
  const last = await s.listener({ fastOpen, dual });
  const next = await s.process();
  const sidecar = await s.sidecar(hold ? { hold: HOLD } : {});
  const { peers, release } = await bringTo(state, COUNT, s);
  await last.leave(way);
  await sidecar.reconcile();
  if (state === "timer" && hold) {
    const all = () => migratingDecisions(groupOf(s.port))["handshake_timer/selected"] === COUNT;
    await until("the SYN-ACK timer of every request has fired", all, 20);
  }
  release();
  const more = await s.peers(COUNT);
  if (hold && state !== "timer") {
    // A request that arrived while packets were held is retransmitted, and then it is there too.
    await until("all wait at the standby", () => holdOf(s)?.connections === 2 * COUNT, 20);
  }
  const listener = await s.listener({ fastOpen, dual }, next);
  await listener.serve();
  await sidecar.reconcile();
  return [...peers, ...more];
}

const CASES: readonly (readonly [string, string, State, Way])[] = [
  ["127.0.0.1", "127.0.0.1", "accept queue", "close"],
  ["127.0.0.1", "127.0.0.1", "accept queue", "SIGKILL"],
  ["127.0.0.1", "127.0.0.1", "fast open", "exit"],
  ["127.0.0.1", "127.0.0.1", "final ack", "SIGKILL"],
  ["127.0.0.1", "127.0.0.1", "timer", "close"],
  ["::1", "::1", "accept queue", "SIGKILL"],
  ["::1", "::1", "final ack", "close"],
  ["::1", "::1", "timer", "shutdown"],
  ["::", "127.0.0.1", "accept queue", "SIGKILL"],
  ["::", "::1", "accept queue", "shutdown"],
];

describe("stop, then start", () => {
  for (const [address, to, state, way] of CASES) {
    const name = `${address}${address === to ? "" : ` from ${to}`}, ${state}, ${way}`;
    test(
      `${name}: the next listener serves all of them`,
      scene(
        async (s) => {
          const peers = await stopAndStart(s, state, way, true);
          const [key] = Object.keys(await tally(peers));
          assert.deepEqual(await tally(peers), { [String(key)]: 2 * COUNT });
          assert.match(String(key), /^\d+$/, "a process served them");
          const { hold, holds } = groupOf(s.port);
          assert.deepEqual(hold?.received, { syn: COUNT, migrated: COUNT });
          assert.equal(holds.started, 1);
          assert.equal(holds.handed_over, 1);
          assert.equal(hold?.holding, false);
        },
        address,
        to,
      ),
    );
  }

  test(
    "without a hold all of them are lost",
    scene(async (s) => {
      const lost = await tally(await stopAndStart(s, "accept queue", "close", false));
      assert.deepEqual(lost, { ECONNRESET: COUNT, ECONNREFUSED: COUNT });
    }),
  );
});

describe("while a target lives", () => {
  test(
    "the standby gets nothing, though the kernel's hash would give it a share",
    scene(async (s) => {
      const first = await s.listener();
      await first.serve();
      const unmanaged = await s.listener();
      await unmanaged.serve();
      const shared = await tally(await s.peers(200));
      assert.equal(Object.keys(shared).length, 2, "any listener has its share");
      await unmanaged.close();

      const sidecar = await s.sidecar({ hold: HOLD });
      assert.equal(listening(s.port), 2);
      assert.deepEqual(await tally(await s.peers(200)), { [first.process.pid]: 200 });
      const second = await back(s, sidecar);
      const both = await tally(await s.peers(200));
      assert.deepEqual(Object.keys(both).sort(), pidsOf(first, second));
      assert.deepEqual(holdOf(s)?.received, { syn: 0, migrated: 0 });
    }),
  );

  test(
    "a closing listener's connections go to the others, whatever their settings",
    scene(async (s) => {
      const { listener, sidecar } = await held(s);
      const { peers } = await bringTo("accept queue", COUNT, s);
      const other = await s.listener({ options: [{ level: 1, name: 9, value: 1 }] }); // SO_KEEPALIVE
      await other.serve();
      await sidecar.reconcile();
      await listener.close();
      assert.deepEqual(await tally(peers), { [other.process.pid]: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), {
        "accept_queue/fallback/settings": COUNT,
      });
      assert.deepEqual(holdOf(s)?.received, { syn: 0, migrated: 0 });
    }),
  );

  test(
    "what came to the standby before a new listener was known is moved at once",
    scene(async (s) => {
      const { listener, sidecar } = await held(s);
      const unknown = await s.listener();
      await unknown.serve();
      await listener.close();
      // The sidecar looks as soon as the first one is there.
      const peers = await s.peers(COUNT);
      await sidecar.reconcile();
      assert.deepEqual(await tally(peers), { [unknown.process.pid]: COUNT });
      assert.ok((holdOf(s)?.received.syn ?? 0) > 0);
      assert.equal(groupOf(s.port).holds.started, 0);
    }),
  );

  test(
    "it has the settings of its listeners, also those they set later",
    scene(async (s) => {
      const SO_KEEPALIVE = { level: 1, name: 9, value: 1 };
      const SO_RCVBUF = { level: 1, name: 8, value: 70_000 };
      const TCP_MAXSEG = { level: 6, name: 2, value: 1200 };
      const listener = await s.listener({ options: [SO_KEEPALIVE, SO_RCVBUF, TCP_MAXSEG] });
      const sidecar = await s.sidecar({ hold: HOLD });
      await listener.set({ level: 6, name: 9, value: 3 }); // TCP_DEFER_ACCEPT
      await sidecar.reconcile();
      const same = [SO_KEEPALIVE, SO_RCVBUF, TCP_MAXSEG, { level: 6, name: 9, value: 3 }];
      await leaveAlone(s, listener, sidecar);
      const peers = await s.peers(COUNT);
      await until("all wait", () => holdOf(s)?.connections === COUNT);
      const next = await s.listener({ options: same });
      await next.serve();
      await sidecar.reconcile();
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      // Not by fallback: the standby is of the same class as the listeners.
      assert.deepEqual(migratingDecisions(groupOf(s.port)), { "accept_queue/selected": COUNT });
      assert.deepEqual(warnings(s), []);
    }),
  );
});

describe("a hold ends", () => {
  test(
    "when its time is up: refused as always, and it comes back with the server",
    scene(async (s) => {
      const { listener, sidecar } = await held(s, { hold: { timeMs: 300, max: 4096 } });
      await leaveAlone(s, listener, sidecar);
      const peers = await s.peers(COUNT);
      const over = async () => {
        await sidecar.reconcile();
        return groupOf(s.port).holds.expired === 1;
      };
      await until("it expires", over, 20);
      assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
      assert.deepEqual(await tally(await s.peers(1)), { ECONNREFUSED: 1 });
      await sidecar.reconcile();
      assert.equal(listening(s.port), 0);
      await back(s, sidecar);
      assert.equal(listening(s.port), 2);
    }),
  );

  test(
    "when it is released",
    scene(async (s) => {
      const { listener, sidecar } = await held(s);
      const early = await runCli(["release", s.spec]);
      assert.equal(early.code, 4, "nothing is held yet");
      await leaveAlone(s, listener, sidecar);
      const peers = await s.peers(COUNT);
      const run = await runCli(["release", s.spec, "--json"]);
      assert.equal(run.code, 0, run.stderr);
      assert.equal(JSON.parse(run.stdout).released[0].reset, COUNT);
      assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
      assert.deepEqual(await tally(await s.peers(1)), { ECONNREFUSED: 1 });
      await sidecar.reconcile();
      assert.equal(groupOf(s.port).holds.released, 1);
      await back(s, sidecar);
      assert.equal(holdOf(s)?.standby, true);
    }),
  );

  test(
    "when it is detached",
    scene(async (s) => {
      const { listener, sidecar } = await held(s);
      await leaveAlone(s, listener, sidecar);
      const run = await runCli(["detach", s.spec]);
      assert.equal(run.code, 0, run.stderr);
      assert.deepEqual(await tally(await s.peers(1)), { ECONNREFUSED: 1 });
      await sidecar.reconcile();
      assert.equal(listening(s.port), 0);
    }),
  );

  test(
    "when the sidecar ends, with --keep too: targets go on alone",
    scene(async (s) => {
      const { listener, sidecar } = await held(s);
      await listener.serve();
      await sidecar.close({ keep: true });
      assert.equal(listening(s.port), 1);
      assert.deepEqual(await tally(await s.peers(COUNT)), { [listener.process.pid]: COUNT });
      assert.equal(decisions(groupOf(s.port))["syn/kernel"], COUNT, "nothing is steered any more");
      await s.sidecar({ hold: HOLD });
      assert.equal(listening(s.port), 2, "the next one holds again");
    }),
  );
});

describe("bounds", () => {
  test(
    "sidecars that come and go, and are killed, leave no trace that fills a map",
    scene(async (s) => {
      await s.listener();
      for (let i = 0; i < 80; i++) await (await s.sidecar({ hold: HOLD })).close({ keep: true });
      await s.sidecar({ hold: HOLD });
      assert.equal(holdOf(s)?.standby, true);
    }),
  );

  test(
    "past --hold-max the kernel ignores SYNs, so that clients try again",
    scene(async (s) => {
      const max = 8;
      const { listener, sidecar } = await held(s, { hold: { timeMs: 600_000, max } });
      await leaveAlone(s, listener, sidecar);
      const waiting = s.peers(2 * max);
      await until("the standby is full", () => (holdOf(s)?.connections ?? 0) >= max);
      const next = await back(s, sidecar);
      assert.deepEqual(await tally(await waiting), { [next.process.pid]: 2 * max });
      assert.ok((holdOf(s)?.received.syn ?? 0) >= 2 * max);
    }),
  );

  test(
    "more than net.core.somaxconn is said",
    scene(async (s) => {
      s.sysctl("net.core.somaxconn", 64);
      await held(s);
      assert.match(warnings(s).join(), /holds 64 connections, not 4096: raise net.core.somaxconn/);
    }),
  );
});

function warnings(s: Scene): string[] {
  return s.log.filter(({ level }) => level === "warn").map(({ text }) => text);
}

const pidsOf = (...listeners: Listener[]) => listeners.map((l) => String(l.process.pid)).sort();
