/**
 * Settings by which a listener admits peers: connections are never held or migrated around them.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { IPPROTO_TCP } from "../../loader/sys/libc.ts";
import { tally } from "../helpers/load/peer.ts";
import { runCli } from "../helpers/product/cli.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { groupOf } from "../helpers/scene/status.ts";
import type { SocketOption } from "../helpers/servers/listener.ts";

const COUNT = 10;
/** Clients on this host send with a TTL of 64. */
const minTtl = (value: number): SocketOption => ({ level: 0, name: 21, value });

/** TCP_MD5SIG: a key for a peer that is not of this test (struct tcp_md5sig, linux/tcp.h). */
function md5Key(): SocketOption {
  const bytes = Buffer.alloc(216);
  bytes.writeUInt16LE(2, 0);
  bytes.set([192, 0, 2, 1], 4);
  bytes.writeUInt16LE(3, 130);
  bytes.write("key", 136);
  return { level: IPPROTO_TCP, name: 14, value: [...bytes] };
}

const warned = (s: Scene) => s.log.filter(({ level }) => level === "warn").map((e) => e.text);

describe("a queue that migrates", () => {
  const cases: [string, SocketOption[], SocketOption[], boolean][] = [
    ["control: no guards", [], [], true],
    ["the same minimum TTL", [minTtl(60)], [minTtl(60)], true],
    ["another minimum TTL", [minTtl(60)], [minTtl(50)], false],
    ["only the one that closes has keys", [md5Key()], [], false],
    ["only the one that stays has keys", [], [md5Key()], false],
    ["both have keys", [md5Key()], [md5Key()], true],
  ];
  for (const [what, closing, staying, isServed] of cases) {
    test(
      `${what}: ${isServed ? "served" : "reset, whatever the policy says"}`,
      scene(async (s) => {
        const old = await s.listener({ options: closing });
        const sidecar = await s.sidecar({ settings: "ignore" });
        const { peers } = await bringTo("accept queue", COUNT, s);
        const next = await s.listener({ options: staying });
        await next.serve();
        await sidecar.reconcile();
        await old.close();
        const result = isServed ? { [next.process.pid]: COUNT } : { ECONNRESET: COUNT };
        assert.deepEqual(await tally(peers), result);
      }),
    );
  }
});

describe("--hold", () => {
  test(
    "is refused where a listener has keys, and suspended when it gets one",
    scene(async (s) => {
      const first = await s.listener({ options: [md5Key()] });
      const run = await runCli(["attach", s.spec, "--hold", "10s"]);
      assert.equal(run.code, 7, run.stderr);
      assert.match(run.stderr, /TCP_MD5SIG or TCP_AO keys cannot be copied/);
      await first.close();

      const second = await s.listener();
      const sidecar = await s.sidecar({ hold: { timeMs: 600_000, max: 16 } });
      assert.equal(groupOf(s.port).hold?.standby, true);
      await second.set(md5Key());
      await sidecar.reconcile();
      assert.notEqual(groupOf(s.port).hold?.standby, true);
      assert.match(warned(s).join(), /no standby: .*cannot be copied/);
    }),
  );

  test(
    "copies a minimum TTL: a peer that the server would not admit is not held",
    scene(async (s) => {
      const server = await s.listener({ options: [minTtl(255)] });
      const sidecar = await s.sidecar({ hold: { timeMs: 600_000, max: 16 } });
      await server.close();
      await sidecar.reconcile();
      const late = s.peers(1);
      await sidecar.reconcile();
      assert.equal(groupOf(s.port).hold?.connections ?? 0, 0);
      const next = await s.listener();
      await next.serve();
      await sidecar.reconcile();
      assert.deepEqual(await tally(await late), { [next.process.pid]: 1 });
    }),
  );
});
