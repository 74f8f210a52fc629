/** Compatible settings: three classes at once, several generations, every policy. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { START_GAP_MS } from "../../loader/core/generations.ts";
import type { Sidecar, SidecarOptions } from "../../loader/index.ts";
import { IPPROTO_TCP, SOL_SOCKET } from "../../loader/sys/libc.ts";
import { tally } from "../helpers/load/peer.ts";
import { runCli } from "../helpers/product/cli.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { groupOf, listenerOf, migratingDecisions } from "../helpers/scene/status.ts";
import type { Listener, SocketOption } from "../helpers/servers/listener.ts";

const COUNT = 20;
/** Real differences, each one class. */
const KINDS: Readonly<Record<string, readonly SocketOption[]>> = {
  plain: [],
  deferring: [{ level: IPPROTO_TCP, name: 9, value: 5 }], // TCP_DEFER_ACCEPT
  narrow: [{ level: SOL_SOCKET, name: 8, value: 50_000 }], // SO_RCVBUF
  saving: [{ level: IPPROTO_TCP, name: 27, value: 1 }], // TCP_SAVE_SYN
  marked: [{ level: SOL_SOCKET, name: 36, value: 7 }], // SO_MARK
};

async function listen(s: Scene, kind: string): Promise<Listener> {
  const listener = await s.listener({ options: KINDS[kind] ?? [] });
  await listener.serve();
  return listener;
}

/**
 * A plain listener with connections queued, then an older plain one's successors of other kinds.
 */
async function three(s: Scene, options: Partial<SidecarOptions>) {
  const closing = await s.listener();
  const sidecar: Sidecar = await s.sidecar(options);
  const { peers } = await bringTo("accept queue", COUNT, s);
  const later: Listener[] = [];
  for (const kind of ["plain", "narrow", "saving"]) {
    await sleep(START_GAP_MS + 100);
    later.push(await listen(s, kind));
    await sidecar.reconcile();
  }
  const [plain, , newest] = later as [Listener, Listener, Listener];
  return { closing, plain, newest, peers, sidecar };
}

const warnings = (s: Scene) =>
  s.log.filter(({ level }) => level === "warn").map(({ text }) => text);

describe("three classes, four generations", () => {
  test(
    "prefer: the newest compatible one, though newer ones differ",
    scene(async (s) => {
      const { closing, plain, peers } = await three(s, { settings: "prefer" });
      await closing.close();
      assert.deepEqual(await tally(peers), { [plain.process.pid]: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), { "accept_queue/selected": COUNT });
    }),
  );
  test(
    "prefer: the newest when none is compatible, counted and warned of once",
    scene(async (s) => {
      const { closing, plain, newest, peers, sidecar } = await three(s, {});
      await plain.close();
      await sidecar.reconcile();
      await closing.close();
      assert.deepEqual(await tally(peers), { [newest.process.pid]: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), {
        "accept_queue/fallback/settings": COUNT,
      });
      const said = warnings(s);
      assert.equal(said.length, 3, said.join("\n"));
      assert.match(said.join("\n"), /classes 1 and 2 differ in SO_RCVBUF/);
      assert.match(said.join("\n"), /classes 1 and 3 differ in TCP_SAVE_SYN/);
    }),
  );
  test(
    "strict: dropped when none is compatible",
    scene(async (s) => {
      const { closing, plain, peers, sidecar } = await three(s, { settings: "strict" });
      await plain.close();
      await sidecar.reconcile();
      await closing.close();
      assert.deepEqual(await tally(peers), { ECONNRESET: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), {
        "accept_queue/dropped/settings": COUNT,
      });
    }),
  );
  test(
    "ignore: the newest",
    scene(async (s) => {
      const { closing, newest, peers } = await three(s, { settings: "ignore" });
      await closing.close();
      assert.deepEqual(await tally(peers), { [newest.process.pid]: COUNT });
      assert.deepEqual(migratingDecisions(groupOf(s.port)), { "accept_queue/selected": COUNT });
    }),
  );
});

describe("a class of its own", () => {
  for (const kind of Object.keys(KINDS).filter((name) => name !== "plain")) {
    test(
      `${kind}: told from plain ones, said by status, new connections go to both`,
      scene(async (s) => {
        const plain = await listen(s, "plain");
        const other = await listen(s, kind);
        await s.sidecar({ settings: "strict" });
        const group = groupOf(s.port);
        const classes = [plain, other].map(({ cookie }) => listenerOf(group, cookie).class);
        assert.equal(new Set(classes).size, 2);
        assert.equal(group.optionDifferences.length, 1);
        const status = await runCli(["status", s.spec]);
        assert.match(status.stdout, /classes 1 and 2 differ in (TCP_|SO_)/);
        assert.equal(Object.keys(await tally(await s.peers(100))).length, 2);
      }),
    );
  }
});
