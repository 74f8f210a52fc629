/** Where there can be no standby, or none any more: said, and never worse than without. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { StandbyError } from "../../loader/index.ts";
import { tally } from "../helpers/load/peer.ts";
import { listening } from "../helpers/net/netstat.ts";
import { runCli } from "../helpers/product/cli.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";

const HOLD = { timeMs: 600_000, max: 4096 };
const NOBODY = 65_534;
const warnings = (s: Scene) =>
  s.log
    .filter(({ level }) => level === "warn")
    .map(({ text }) => text)
    .join();

/**
 * MPTCP listeners are members of the kernel's group by their TCP sockets, and cannot be selected.
 */
describe("a group with listeners that no program can select", () => {
  test(
    "cannot be held: said at attach, nothing is left behind",
    scene(async (s) => {
      await s.listener();
      await s.listener({ mptcp: true });
      await assert.rejects(() => s.sidecar({ hold: HOLD }), StandbyError);
      const run = await runCli(["attach", s.spec, "--hold", "10s"]);
      assert.equal(run.code, 7, run.stderr);
      assert.match(run.stderr, /cannot be held: 1 of its 2 listeners .*MPTCP/);
      assert.equal(listening(s.port), 2, "no standby is left beside the two");
    }),
  );

  test(
    "is held no longer when one joins, and again when it has left",
    scene(async (s) => {
      const plain = await s.listener();
      await plain.serve();
      const sidecar = await s.sidecar({ hold: HOLD });
      const mptcp = await s.listener({ mptcp: true });
      await mptcp.serve();
      await sidecar.reconcile();
      assert.equal(groupOf(s.port).hold?.standby, true, "it may be a dying process's listener");
      await sleep(2_100);
      await sidecar.reconcile();
      assert.match(warnings(s), /no standby while .*MPTCP/);
      assert.equal(groupOf(s.port).hold, null);
      const served = await tally(await s.peers(100));
      assert.deepEqual(Object.keys(served).sort(), [plain, mptcp].map(pidOf).sort());
      await mptcp.close();
      await sidecar.reconcile();
      assert.equal(groupOf(s.port).hold?.standby, true);
    }),
  );
});

test(
  "another program in our place gives the standby nothing: it is closed",
  scene(async (s) => {
    const listener = await s.listener();
    await listener.serve();
    const sidecar = await s.sidecar({ hold: HOLD });
    await listener.filter();
    await sidecar.reconcile();
    assert.match(warnings(s), /already runs a classic BPF filter/);
    assert.equal(listening(s.port), 1);
    assert.deepEqual(await tally(await s.peers(50)), { [listener.process.pid]: 50 });
  }),
);

test(
  "a server of another user is held all the same: its standby is of that user",
  scene(async (s) => {
    // The checkout may be one that only root can read.
    const read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
    const as = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", ...read];
    const last = await s.listener({}, await s.process(as));
    const sidecar = await s.sidecar({ hold: HOLD });
    await last.process.kill();
    await sidecar.reconcile();
    const peers = await s.peers(20);
    await assert.rejects(s.listener(), /EADDRINUSE/, "root is another user");
    const next = await s.listener({}, await s.process(as));
    await next.serve();
    await sidecar.reconcile();
    assert.deepEqual(await tally(peers), { [next.process.pid]: 20 });
  }),
);

describe("capabilities", () => {
  const caps = ["bpf", "perfmon", "net_admin", "sys_ptrace"];
  const under = (names: readonly string[]) => {
    const set = ["-all", ...names.map((name) => `+${name}`)].join(",");
    return ["setpriv", `--bounding-set=${set}`, `--inh-caps=${set}`];
  };
  test(
    "a standby of another user wants CAP_CHOWN: named, exit 5, nothing attached",
    scene(async (s) => {
      const read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
      const as = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", ...read];
      await s.listener({}, await s.process(as));
      const run = await runCli(["attach", s.spec, "--hold", "10s"], under(caps));
      assert.equal(run.code, 5, run.stderr);
      assert.match(run.stderr, /CAP_CHOWN/);
    }),
  );
  test(
    "a port below 1024 wants CAP_NET_BIND_SERVICE: named, exit 5, nothing attached",
    scene(async (s) => {
      const { process } = await s.listener({ port: 443 });
      const run = await runCli(["attach", "127.0.0.1:443", "--hold", "10s"], under(caps));
      assert.equal(run.code, 5, run.stderr);
      assert.match(run.stderr, /CAP_NET_BIND_SERVICE/);
      assert.ok(process.pid);
    }),
  );
});

describe("other network namespaces", () => {
  test(
    "are held too: the standby is opened where the server is",
    scene(async (s) => {
      const elsewhere = await s.process(["unshare", "--net"]);
      const last = await s.listener({}, elsewhere);
      const sidecar = await s.sidecar({ hold: HOLD, netns: "all", filter: { pid: elsewhere.pid } });
      assert.equal(groupOf(s.port).hold?.standby, true);
      assert.equal(listening(s.port), 0, "not here");
      await last.close();
      await sidecar.reconcile();
      assert.equal(groupOf(s.port).hold?.holding, true);
    }),
  );
});

const pidOf = (listener: { process: { pid: number } }) => String(listener.process.pid);
