/** --ready-check CMD: where a command runs, what it inherits, and how it ends. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { constants, getPriority, setPriority } from "node:os";
import { describe, test } from "node:test";
import koffi from "koffi";
import type { Sidecar, SidecarOptions } from "../../loader/index.ts";
import { close } from "../../loader/sys/libc.ts";
import { ended } from "../helpers/host/processes.ts";
import { PYTHON } from "../helpers/host/script.ts";
import { tally } from "../helpers/load/peer.ts";
import { TestNetns, tempDir } from "../helpers/net/netns.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;
const HOLD = { timeMs: 600_000, max: 4096 };

const dup = koffi.load(null).func("int dup(int fd)") as (fd: number) => number;
const holdOf = (s: Scene) => groupOf(s.port).hold;

/** A sidecar that holds until `command` has passed, after the only listener has left. */
async function holding(
  s: Scene,
  command: string,
  options: Partial<SidecarOptions> = {},
  under: readonly string[] = [],
): Promise<Sidecar> {
  const listener = await s.listener({}, await s.process(under));
  const sidecar = await s.sidecar({ hold: HOLD, readyCheck: { command }, ...options });
  await listener.close();
  await sidecar.reconcile();
  assert.equal(holdOf(s)?.holding, true);
  return sidecar;
}

/** Reconciles until `fact`. */
function passes(what: string, sidecar: Sidecar, fact: () => unknown): Promise<unknown> {
  const look = async () => {
    await sidecar.reconcile();
    return Boolean(fact());
  };
  return until(what, look, 20);
}

const handedOver = (s: Scene, sidecar: Sidecar) =>
  passes("it is handed over", sidecar, () => groupOf(s.port).holds.handed_over === 1);

/** Passes if a server answers at the listener's address; adds a line to `tried` first. */
const asks = (tried: string) => `echo >>${tried}; exec ${PYTHON} -c '
import os, socket
e = os.environ
to = (e["REUSEPORT_MIGRATE_ADDRESS"], int(e["REUSEPORT_MIGRATE_PORT"]))
s = socket.create_connection(to, 2, ("", int(e["REUSEPORT_MIGRATE_SOURCE_PORT"])))
s.sendall(b"x\\n")
s.settimeout(0.5)
assert s.recv(100).endswith(b" x\\n")'`;

const lines = (file: string) => (existsSync(file) ? readFileSync(file, "utf8") : "");

describe("--ready-check CMD", () => {
  test(
    "handed over when it exits with 0; it can reach the new server itself",
    scene(async (s) => {
      const tried = tempDir(s).file("tried");
      const sidecar = await holding(s, asks(tried));
      const peers = await s.peers(COUNT);
      const slow = await s.listener();
      await passes("it has failed twice", sidecar, () => lines(tried).length > 2);
      assert.equal(holdOf(s)?.connections, COUNT, "the command fails: nobody answers");
      await slow.serve();
      await handedOver(s, sidecar);
      assert.deepEqual(await tally(peers), { [slow.process.pid]: COUNT });
    }),
  );

  test(
    "when the time is up, to whoever listens",
    scene(async (s) => {
      const sidecar = await holding(s, "false", { hold: { timeMs: 400, max: 4096 } });
      const peers = await s.peers(COUNT);
      const slow = await s.listener();
      await handedOver(s, sidecar);
      await slow.serve();
      assert.deepEqual(await tally(peers), { [slow.process.pid]: COUNT });
    }),
  );

  test(
    "it asks in the listener's network namespace, whoever listens in the sidecar's",
    scene(async (s) => {
      const netns = await TestNetns.make(s);
      const tried = tempDir(s).file("tried");
      const here = await s.listener();
      await here.serve();
      const filter = { netns: netns.inode };
      const sidecar = await holding(s, asks(tried), { filter, netns: netns.pid }, netns.under);
      const slow = await s.listener({}, await s.process(netns.under));
      await passes("it has failed twice", sidecar, () => lines(tried).length > 2);
      assert.equal(holdOf(s)?.holding, true, "the one in the sidecar's namespace answered");
      await slow.serve();
      await handedOver(s, sidecar);
    }),
  );

  test(
    "what takes too long is killed, with all that it started, and tried again",
    scene(async (s) => {
      const pids = tempDir(s).file("pids");
      const deaf = `trap "" TERM; echo $$ >>${pids}; (sleep 1000 & echo $! >>${pids}); sleep 1000`;
      const sidecar = await holding(s, deaf);
      await s.listener();
      const started = () => lines(pids).trim().split("\n").map(Number);
      await passes("it runs", sidecar, () => started().length === 2);
      await passes("it runs again", sidecar, () => started().length === 4);
      const [first = 0, second = 0, ...rest] = started();
      await until("the first are gone", () => ended(first) && ended(second));
      await sidecar.close();
      await until("the others are gone", () => rest.every(ended));
    }),
  );

  test(
    "what it leaves behind is killed when it ends",
    scene(async (s) => {
      const pid = tempDir(s).file("pid");
      const sidecar = await holding(s, `sleep 1000 & echo $! >${pid}`);
      await s.listener();
      await handedOver(s, sidecar);
      await until("it is gone", () => ended(Number(lines(pid))));
    }),
  );

  test(
    "it has the usual priority and none of the sidecar's descriptors",
    scene(async (s) => {
      const seen = tempDir(s).file("seen");
      const before = getPriority();
      s.defer(() => setPriority(before));
      setPriority(constants.priority.PRIORITY_ABOVE_NORMAL);
      const inheritable = dup(2);
      s.defer(() => close(inheritable));
      const sidecar = await holding(s, `(nice; ls /proc/self/fd) >${seen}`);
      await s.listener();
      await handedOver(s, sidecar);
      assert.equal(lines(seen), "0\n0\n1\n2\n3\n", "nice 0; 3 is the list itself");
    }),
  );
});
