/**
 * Groups with MPTCP listeners, which no program can select: attached, followed, shown, given back.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Exporter } from "../../cli/metrics/exporter.ts";
import { detach, readStatus, StandbyError } from "../../loader/index.ts";
import { throughShortLivedListener } from "../../loader/net/short_lived_listener.ts";
import { Observer } from "../../loader/observe/observer.ts";
import { connections, lost } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { tally } from "../helpers/load/peer.ts";
import { listening } from "../helpers/net/netstat.ts";
import { runCli } from "../helpers/product/cli.ts";
import { total } from "../helpers/product/sidecar.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf, listenerOf } from "../helpers/scene/status.ts";
import { ReloadingServer } from "../helpers/servers/reloading_server.ts";

const MPTCP = { mptcp: true };

describe("a group of MPTCP listeners only", () => {
  test(
    "is attached, followed, shown and given back",
    scene(async (s) => {
      const first = await s.listener(MPTCP);
      await first.serve();
      const sidecar = await s.sidecar();
      const second = await s.listener(MPTCP);
      await second.serve();
      await sidecar.reconcile();
      const group = groupOf(s.port);
      assert.deepEqual([group.attached, group.attachments], [true, 1]);
      assert.deepEqual(
        group.listeners.map(({ protocol, role, slot }) => [protocol, role, slot]),
        [
          ["mptcp", "unknown", null],
          ["mptcp", "unknown", null],
        ],
      );
      assert.equal(listening(s.port), 2, "the listener that was attached through has closed");
      assert.match(
        (await runCli(["status"])).stdout,
        /2 MPTCP listeners: reached by the kernel's hash only/,
      );
      const text = await new Exporter({ process: false }).scrape((each) => sidecar.status(each));
      assert.equal(total(text, "reuseport_migrate_mptcp_listeners"), 2);
      const served = await tally(await s.peers(100));
      assert.deepEqual(
        Object.keys(served).sort(),
        [first, second].map(({ process }) => String(process.pid)).sort(),
      );
      await sidecar.close({ keep: true });
      await detach({ all: true, bpffs: BPFFS });
      assert.deepEqual(programs(s), [null, null]);
      assert.deepEqual(readStatus({ bpffs: BPFFS }).groups, []);
    }),
  );

  test(
    "that is re-created is attached again",
    scene(async (s) => {
      const first = await s.listener(MPTCP);
      const sidecar = await s.sidecar();
      await first.close();
      await s.listener(MPTCP);
      assert.equal(groupOf(s.port).attached, false);
      await sidecar.reconcile();
      assert.deepEqual([groupOf(s.port).attached, groupOf(s.port).attachments], [true, 2]);
    }),
  );

  test(
    "on every address, and of another user",
    scene(async (s) => {
      const nobody = 65_534;
      const read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
      const as = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", ...read];
      await s.listener({ ...MPTCP, address: "::", dual: true }, await s.process(as));
      const sidecar = await s.sidecar({ spec: `:${s.port}` });
      assert.deepEqual([groupOf(s.port).attached, groupOf(s.port).uid], [true, nobody]);
      await sidecar.close();
      assert.deepEqual(programs(s), [null]);
    }),
  );

  test(
    "of another user wants CAP_CHOWN: named, exit 5, nothing attached",
    scene(async (s) => {
      const read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
      const as = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...read];
      await s.listener(MPTCP, await s.process(as));
      const without = ["setpriv", "--bounding-set=-chown", "--inh-caps=-chown"];
      const run = await runCli(["attach", s.spec, "--once"], without);
      assert.equal(run.code, 5, run.stderr);
      assert.match(run.stderr, /short-lived listener.*MPTCP.*CAP_CHOWN/);
    }),
  );

  test(
    "cannot be held",
    scene(async (s) => {
      await s.listener(MPTCP);
      await assert.rejects(
        () => s.sidecar({ hold: { timeMs: 10_000, max: 10 } }),
        (error: Error) =>
          error instanceof StandbyError && /1 of its 1 listener/.test(error.message),
      );
      assert.deepEqual(programs(s), [null]);
    }),
  );
});

function programs(s: Scene): (number | null)[] {
  using observer = new Observer();
  return observer
    .read()
    .listeners.flatMap(({ key, programId }) => (key.port === s.port ? [programId] : []));
}

/** Opens and closes a listener in a group under load: what its clients lost. */
async function meddle(s: Scene, step: (s: Scene) => Promise<void>) {
  using _server = await ReloadingServer.start({ port: s.port, listeners: 2, mptcp: true });
  using load = await LoadClient.start({ port: s.port, concurrency: 32, limit: 1_000_000 });
  await step(s);
  return await load.stop();
}

describe("the short-lived listener that is attached through", () => {
  const TIMES = 300;
  test(
    "an ordinary one would take connections with it",
    scene(async (s) => {
      s.sysctl("net.ipv4.tcp_migrate_req", 0);
      const other = await s.process();
      const result = await meddle(s, (it) =>
        other.churn({ address: it.address, port: it.port }, 20 * TIMES),
      );
      assert.ok(result.reset > 0, JSON.stringify(result));
    }),
  );
  test(
    "takes none, under load",
    scene(async (s) => {
      s.sysctl("net.ipv4.tcp_migrate_req", 0);
      using observer = new Observer();
      const result = await meddle(s, async ({ port }) => {
        const key = observer.read().listeners.find((listener) => listener.key.port === port)?.key;
        assert.ok(key);
        for (let i = 0; i < TIMES; i++) {
          throughShortLivedListener(key, 0, () => {});
          await sleep(1);
        }
      });
      assert.equal(lost(result), 0, JSON.stringify(result));
      assert.ok(connections(result) > TIMES);
    }),
  );
});

describe("a group of both kinds", () => {
  test(
    "is attached through a plain one, which is a target; the hash reaches both",
    scene(async (s) => {
      const mptcp = await s.listener(MPTCP);
      const plain = await s.listener();
      for (const listener of [mptcp, plain]) await listener.serve();
      await s.sidecar();
      const group = groupOf(s.port);
      assert.equal(listenerOf(group, plain.cookie).role, "target");
      assert.equal(listenerOf(group, mptcp.cookie).role, "unknown");
      const served = await tally(await s.peers(100));
      assert.equal(Object.keys(served).length, 2, JSON.stringify(served));
      assert.deepEqual(warnings(s), []);
    }),
  );

  test(
    "--route newest starves the MPTCP ones: said once",
    scene(async (s) => {
      await s.listener(MPTCP);
      const plain = await s.listener();
      await plain.serve();
      const sidecar = await s.sidecar({ route: "newest" });
      await sidecar.reconcile();
      assert.equal(warnings(s).length, 1);
      assert.match(warnings(s)[0] ?? "", /MPTCP listeners \(1\) get no new connections/);
      assert.deepEqual(await tally(await s.peers(50)), { [plain.process.pid]: 50 });
    }),
  );

  test(
    "--settings strict drops what MPTCP ones leave behind: said",
    scene(async (s) => {
      await s.listener(MPTCP);
      await s.sidecar({ settings: "strict" });
      assert.match(
        warnings(s).join(),
        /MPTCP listeners \(1\) lose their connections when they close/,
      );
    }),
  );
});

const warnings = (s: Scene) =>
  s.log.filter(({ level }) => level === "warn").map(({ text }) => text);
