/**
 * run: a command that closes a listener, and the verdict on what was there; exact, and not without
 * its control.
 */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { detach } from "../../loader/index.ts";
import { Child, TempDir } from "../helpers/host/child.ts";
import { tally } from "../helpers/load/peer.ts";
import { queued } from "../helpers/net/netstat.ts";
import { runCli } from "../helpers/product/cli.ts";
import { migrating, runJson } from "../helpers/product/run_json.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { groupOf, listenerOf } from "../helpers/scene/status.ts";
import type { Listener } from "../helpers/servers/listener.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;
/** Enough where no SYN-ACK timer is waited for. */
const SOON = ["--settle", "300ms"];

const kill = ({ process }: Listener) => ["kill", "-KILL", String(process.pid)];
/** For a shell: it has ended, and with it the decisions about its listener, when this has. */
const killAndWait = (pid: number) =>
  `kill -KILL ${pid}; while kill -0 ${pid} 2>&-; do sleep 0.02; done`;

/** A listener with a queue, and one that can take it. */
async function oldAndNext(s: Scene, options: Parameters<Scene["sidecar"]>[0] = {}) {
  const old = await s.listener();
  const sidecar = await s.sidecar(options);
  const { peers } = await bringTo("accept queue", COUNT, s);
  const next = await s.listener();
  await next.serve();
  await sidecar.reconcile();
  return { old, next, peers, sidecar };
}

describe("a command that closes a listener with connections in its queue", () => {
  test(
    "all are moved: exit 0, by stage and generation",
    scene(async (s) => {
      const { old, next, peers } = await oldAndNext(s);
      const { outcome, group } = await runJson([s.spec, ...SOON], kill(old));
      const { generation } = listenerOf(groupOf(s.port), next.cookie);
      assert.equal(outcome.exit_code, 0);
      assert.deepEqual([outcome.lost, outcome.moved, outcome.held], [0, COUNT, 0]);
      assert.equal(outcome.settled, "settled");
      assert.deepEqual(migrating(group), { "accept_queue/selected": COUNT });
      assert.deepEqual(group.moved_into, [{ generation, newest: true, count: COUNT }]);
      assert.equal(group.moved_into_older_or_gone + group.moved_by_kernel, 0);
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
    }),
  );

  test(
    "--migrate off: all are lost, exit 3, and 0 with --max-lost",
    scene(async (s) => {
      const { old, peers, sidecar } = await oldAndNext(s, { migrate: "off" });
      const run = await runCli(["run", s.spec, ...SOON, "--", ...kill(old)]);
      assert.equal(run.code, 3, run.stderr);
      assert.equal(run.stdout, "");
      assert.match(run.stderr, /accept_queue +0 +0 +20 +0$/m);
      const verdict = `failed: ${COUNT} lost of ${COUNT} connections that had to migrate: --max-lost allows 0\n`;
      assert.ok(run.stderr.endsWith(verdict), run.stderr);
      assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });

      const again = await s.listener();
      await sidecar.reconcile();
      const before = queued(s.port);
      await s.peers(COUNT);
      await until("some wait in the new one's queue", () => queued(s.port) > before);
      const lost = listenerOf(groupOf(s.port), again.cookie).queueLength;
      const allowed = ["--max-lost", String(lost), ...SOON];
      const { outcome } = await runJson([s.spec, ...allowed], kill(again));
      assert.deepEqual([outcome.exit_code, outcome.lost], [0, lost]);
    }),
  );

  test(
    "the last listener: what the kernel could not move is lost",
    scene(async (s) => {
      const only = await s.listener();
      await s.sidecar();
      await bringTo("accept queue", COUNT, s);
      const { outcome, group } = await runJson([s.spec, ...SOON], kill(only));
      assert.deepEqual([outcome.exit_code, outcome.lost, outcome.moved], [3, COUNT, 0]);
      assert.deepEqual(migrating(group), {});
      assert.deepEqual(
        outcome.namespaces.map(({ dropped, failed }) => [dropped, failed]),
        [[0, COUNT]],
      );
    }),
  );

  test(
    "without a sidecar, as after attach --once: the kernel's hash, and why",
    scene(async (s) => {
      const old = await s.listener();
      await (await s.sidecar()).close({ keep: true });
      s.defer(() => detach({ all: true, bpffs: BPFFS }));
      await bringTo("accept queue", COUNT, s);
      const next = await s.listener();
      await next.serve();
      const run = await runCli(["run", ...SOON, "--", ...kill(old)]);
      assert.equal(run.code, 0, run.stderr);
      assert.match(run.stderr, /accept_queue +0 +0 +0 +20 \(no_target 20\)$/m);
      assert.match(run.stderr, /migrated by the kernel's hash: 20$/m);
      assert.ok(run.stderr.endsWith("ok: 0 lost of 20 connections that migrated\n"), run.stderr);
    }),
  );

  test(
    "handshakes whose client is silent are waited for, until the SYN-ACK timer",
    scene(async (s) => {
      const old = await s.listener();
      const sidecar = await s.sidecar();
      const { peers, release } = await bringTo("timer", COUNT, s);
      const next = await s.listener();
      await sidecar.reconcile();
      await next.serve();
      const { outcome, group } = await runJson([s.spec], kill(old));
      assert.deepEqual([outcome.exit_code, outcome.lost, outcome.moved], [0, 0, COUNT]);
      assert.deepEqual(migrating(group), { "handshake_timer/selected": COUNT });
      release();
      // What is left half open would fail later, and the kernel counts that for the whole
      // namespace: the next test's.
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
    }),
  );
});

test(
  "a namespace that ends with its server still tells what was lost in it",
  scene(async (s) => {
    const program = `import socket, time
l = socket.socket(); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
l.bind(("127.0.0.1", ${s.port})); l.listen(64)
clients = [socket.create_connection(("127.0.0.1", ${s.port})) for _ in range(${COUNT})]
print("ready", flush=True); time.sleep(600)`;
    const script = 'ip link set lo up && exec /usr/bin/python3 -c "$0"';
    using dir = new TempDir();
    await using far = new Child("unshare", ["--net", "sh", "-c", script, program], dir.file("log"));
    await far.until("its queue is full", () => far.output().includes("ready"));
    await s.sidecar({ netns: "all", filter: { pid: far.pid } });
    const { outcome } = await runJson([s.spec, ...SOON], ["kill", "-KILL", String(far.pid)]);
    assert.deepEqual([outcome.exit_code, outcome.lost], [3, COUNT]);
  }),
);

describe("a hold", () => {
  test(
    "what it holds is not lost, and is moved to the server that comes back",
    scene(async (s) => {
      const last = await s.listener();
      const sidecar = await SidecarProcess.attach(s.spec, "--metrics", "off", "--hold", "60s");
      s.defer(() => sidecar[Symbol.asyncDispose]());
      const { peers } = await bringTo("accept queue", COUNT, s);
      const { pid } = last.process;
      const script = killAndWait(pid);
      const stop = await runJson(["--settle", "0"], ["sh", "-c", script]);
      assert.deepEqual(
        [stop.outcome.exit_code, stop.outcome.lost, stop.outcome.moved, stop.outcome.held],
        [0, 0, 0, COUNT],
      );
      assert.equal(stop.outcome.settled, "not_waited");

      using dir = new TempDir();
      const start = runJson(SOON, ["touch", dir.file("started")]);
      await until("it is measured", () => existsSync(dir.file("started")));
      const next = await s.listener();
      await next.serve();
      const { outcome, group } = await start;
      assert.deepEqual(
        [outcome.exit_code, outcome.lost, outcome.moved, outcome.held],
        [0, 0, COUNT, 0],
      );
      assert.equal(group.moved_into[0]?.count, COUNT);
      assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
    }),
  );
});

describe("the command", () => {
  test(
    "its exit code is passed on; with --json its stdout goes to stderr",
    scene(async (s) => {
      await s.listener();
      await s.sidecar();
      const run = await runJson([s.spec, "--settle", "0"], ["sh", "-c", "echo hello; exit 7"]);
      assert.deepEqual(run.outcome.command, { code: 7, signal: null });
      assert.equal(run.outcome.exit_code, 7);
      assert.equal(run.stderr, "hello\n");
      const text = await runCli(["run", "--settle", "0", "--", "sh", "-c", "echo hello; exit 7"]);
      assert.deepEqual([text.code, text.stdout], [7, "hello\n"]);
      assert.match(text.stderr, /^the command ended with code 7\nno connection had to migrate$/m);
    }),
  );

  test(
    "is not run when nothing is attached for a SPEC: exit 4",
    scene(async (s) => {
      using dir = new TempDir();
      const touch = ["--", "touch", dir.file("was-run")];
      const none = await runCli(["run", ...touch]);
      assert.equal(none.code, 4, none.stderr);
      await s.listener();
      await s.sidecar();
      const other = await runCli(["run", s.spec, ":1", ...touch]);
      assert.equal(other.code, 4, other.stderr);
      assert.match(other.stderr, /the command was not run: nothing is attached for :1; run /);
      assert.equal(existsSync(dir.file("was-run")), false);
    }),
  );

  test(
    "gets the signals, and what happened until then is said",
    scene(async (s) => {
      const { old } = await oldAndNext(s);
      using dir = new TempDir();
      const script = `${killAndWait(old.process.pid)}; echo killed; exec sleep 600`;
      const bin = new URL("../../cli/bin.js", import.meta.url).pathname;
      const args = [bin, "run", s.spec, "--", "sh", "-c", script];
      await using run = new Child(process.execPath, args, dir.file("log"));
      await run.until("the command works", () => run.output().includes("killed"));
      assert.equal(await run.stop("SIGTERM"), 143, run.output());
      assert.match(run.output(), /^interrupted: /m);
      assert.match(run.output(), /^the command ended by SIGTERM\n0 lost of 20 connections/m);
    }),
  );
});

test(
  "a group that is attached while the command runs counts from zero, one that is detached is said",
  scene(async (s) => {
    const process = await s.process();
    await s.listener({}, process);
    await s.listener({ address: "::1" }, process);
    const v6 = `[::1]:${s.port}`;
    const leaving = await s.sidecar({ spec: v6 });
    using dir = new TempDir();
    const script = 'touch "$0"; until [ -e "$1" ]; do sleep 0.02; done';
    const command = ["sh", "-c", script, dir.file("started"), dir.file("done")];
    const running = runCli(["run", "--settle", "0", "--", ...command]);
    await until("the command runs", () => existsSync(dir.file("started")));
    await s.sidecar();
    await leaving.close({ keep: false });
    writeFileSync(dir.file("done"), "");
    const run = await running;
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stderr, /^127\.0\.0\.1:.*\n {2}attached while the command ran/m);
    assert.match(run.stderr, /^\[::1\]:(.*\n {2})+no longer attached/m);
  }),
);
