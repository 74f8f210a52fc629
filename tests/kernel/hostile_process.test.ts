/**
 * Processes of another user in which system calls on their listeners hang, on a port that the
 * sidecar covers: it goes on, and every other group is attached and kept.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readStatus } from "../../loader/index.ts";
import { borrow, hungOwners } from "../../loader/lender/lender.ts";
import { NETNS_RESCAN_MS } from "../../loader/observe/netns_liveness.ts";
import { Observer } from "../../loader/observe/observer.ts";
import { HangingProcesses, type HangKind } from "../helpers/hostile/hang.ts";
import { tally } from "../helpers/load/peer.ts";
import { runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

const ADDRESS = "127.0.0.2";
const COUNT = 20;

async function hanging(s: Scene, kind: HangKind, count = 1): Promise<HangingProcesses> {
  const found = await HangingProcesses.start(kind, ADDRESS, s.port, count);
  s.defer(() => found[Symbol.asyncDispose]());
  return found;
}

/** The group of the server that does not hang. */
function honestGroup() {
  const { groups } = readStatus({ bpffs: BPFFS });
  return groups.find(({ key }) => key.address === "127.0.0.1");
}

function listenersOf(pid: number) {
  using observer = new Observer();
  return observer.read().listeners.filter(({ owners }) => owners.some((o) => o.pid === pid));
}

describe("a process that hangs", () => {
  for (const kind of ["exec", "lock"] as const) {
    test(
      `in ${kind}: is named, and everything else goes on`,
      scene(async (s) => {
        const old = await s.listener();
        await using sidecar = await SidecarProcess.attach(`:${s.port}`, "--wait", "--hold", "5s");
        const pids: number[] = [];
        const named = () =>
          sidecar.warnings().filter((text) => /hangs in a call on its listener/.test(text));
        // The sidecar may have looked at all three in the moment before they hang.
        for (let tries = 0; tries < 10 && named().length === 0; tries++) {
          const { processes } = await hanging(s, kind, 3);
          pids.push(...processes.map(({ pid }) => pid));
          for (let waits = 0; waits < 30 && named().length === 0; waits++) await sleep(100);
        }
        assert.match(named()[0] ?? "", new RegExp(`pid (${pids.join("|")}), uid 65534`));
        assert.match(await sidecar.metrics(), /hung_processes [1-9]\n/);

        const next = await s.listener();
        await next.serve();
        await until("the new listener is a target", () =>
          honestGroup()?.listeners.some(
            ({ owners, role }) => role === "target" && owners[0]?.pid === next.process.pid,
          ),
        );
        const peers = await s.peers(COUNT);
        await old.close();
        assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });
        const policy = await runCli(["policy", s.spec, "--route", "newest"]);
        assert.equal(policy.code, 0, policy.stderr);
        await sidecar.stop();
      }),
    );

    test(
      `in ${kind}: does not keep a sidecar from starting, nor commands from working`,
      scene(async (s) => {
        await s.listener();
        await hanging(s, kind, 3);
        await using sidecar = await SidecarProcess.attach(`:${s.port}`, "--wait");
        assert.equal(honestGroup()?.attached, true);
        await sidecar.kill();
        const detach = await runCli(["detach", "--all"]);
        assert.equal(detach.code, 0, detach.stderr);
      }),
    );
  }

  test(
    "anywhere on the host: does not stop the search for namespaces that have ended",
    scene(async (s) => {
      const server = await s.listener();
      await using sidecar = await SidecarProcess.attach(`:${s.port}`, "--wait");
      await HangingProcesses.start("exec", ADDRESS, s.port + 1).then((found) =>
        s.defer(() => found[Symbol.asyncDispose]()),
      );
      await server.close();
      await sleep(2 * NETNS_RESCAN_MS);
      assert.match(await sidecar.metrics(), /hung_processes 0\n/);
      await sidecar.stop();
    }),
  );

  test(
    "in close: a descriptor that is no longer the listener is not closed by us",
    scene(async (s) => {
      const honest = await s.listener();
      const attacker = await hanging(s, "close");
      const [{ pid, fd } = { pid: 0, fd: 0 }] = attacker.processes;
      const owner = { pid, fd, comm: "python3", startMs: 0 };
      assert.equal(borrow({ cookie: 1n, owners: [owner] }, []), undefined);
      assert.deepEqual(
        hungOwners().map((each) => each.pid),
        [pid],
      );
      const [listener] = listenersOf(honest.process.pid);
      assert.ok(listener && borrow(listener, []), "the others are borrowed from");
    }),
  );
});
