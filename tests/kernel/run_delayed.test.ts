/**
 * run: a final ACK that finds the accept queue of its destination full and succeeds later is no
 * loss, though the kernel counts a failed migration for each try.
 */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TempDir } from "../helpers/host/child.ts";
import { type Peer, tally } from "../helpers/load/peer.ts";
import { kernelMigrations, queued } from "../helpers/net/netstat.ts";
import { type JsonRun, runJson } from "../helpers/product/run_json.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import type { Listener } from "../helpers/servers/listener.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;

/** A command in steps: the test says when the next begins, and the command when it has ended. */
const WAIT = 'until [ -e "$0/STEP" ]; do sleep 0.01; done';
const script = (pid: number) =>
  [
    'touch "$0/started"',
    WAIT.replace("STEP", "kill"),
    `kill -KILL ${pid}`,
    `while kill -0 ${pid} 2>&-; do sleep 0.01; done`,
    'touch "$0/closed"',
    WAIT.replace("STEP", "end"),
  ].join("; ");

interface FullDestination {
  /** A listener whose accept queue is full with one connection. */
  readonly next: Listener;
  readonly peers: readonly Peer[];
  /** Ends the command, and returns what `run` says. */
  end(): Promise<JsonRun>;
}

/** SYN-ACK timers fire 1 s and 3 s after the SYN: between them there is time to let ACKs arrive. */
const AFTER_FIRST_TIMER_MS = 1_100;

/** Closes the listener of half-open handshakes while `run` measures, and lets their ACKs arrive. */
async function arriveAtFullQueue(s: Scene): Promise<FullDestination> {
  const old = await s.listener();
  const owner = await s.process();
  const sidecar = await s.sidecar();
  const dir = new TempDir();
  s.defer(() => dir[Symbol.dispose]());
  const command = ["sh", "-c", script(old.process.pid), dir.path];
  const running = runJson([s.spec, "--settle", "5s"], command);
  const step = (name: string) => writeFileSync(dir.file(name), "");
  await until("the command runs", () => existsSync(dir.file("started")));
  const { peers, release } = await bringTo("final ack", COUNT, s);
  const next = await s.listener({ backlog: 0 }, owner);
  await sidecar.reconcile();
  await sleep(AFTER_FIRST_TIMER_MS);
  step("kill");
  await until("the old listener is closed", () => existsSync(dir.file("closed")));
  const { failure } = kernelMigrations();
  release();
  for (const peer of peers) peer.finish();
  await until("ACKs have failed", () => kernelMigrations().failure > failure);
  assert.equal(queued(s.port), 1);
  return {
    next,
    peers,
    end: () => {
      step("end");
      return running;
    },
  };
}

describe("final ACKs that find a full accept queue", () => {
  test(
    "and succeed later: delayed, none is lost",
    scene(async (s) => {
      const { next, peers, end } = await arriveAtFullQueue(s);
      await next.serve();
      const { outcome } = await end();
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
      assert.deepEqual([outcome.lost, outcome.moved, outcome.exit_code], [0, COUNT, 0]);
      assert.ok(outcome.delayed > 0);
    }),
  );

  test(
    "what is lost beside them is lost",
    scene(async (s) => {
      const { next, end } = await arriveAtFullQueue(s);
      // The last listener: its queue, and the handshakes that wait for room in it, are lost.
      await next.process.kill();
      const { outcome } = await end();
      assert.deepEqual([outcome.lost, outcome.exit_code], [COUNT, 3]);
      assert.ok(outcome.delayed > 0);
    }),
  );

  test(
    "and are reset, by tcp_abort_on_overflow: lost",
    scene(async (s) => {
      s.sysctl("net.ipv4.tcp_abort_on_overflow", 1);
      const { next, peers, end } = await arriveAtFullQueue(s);
      let known = 0;
      for (const { outcome } of peers) void outcome.then(() => known++);
      await until("all have arrived", () => known === COUNT - 1);
      await next.serve();
      const { outcome } = await end();
      const served = { [next.process.pid]: 1, ECONNRESET: COUNT - 1 };
      assert.deepEqual(await tally(peers), served);
      assert.deepEqual([outcome.lost, outcome.delayed, outcome.exit_code], [COUNT - 1, 0, 3]);
    }),
  );
});
