/** A sidecar is killed while a group grows; and readers of the pins, who have no lock. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { PinTree } from "../../loader/bpf/pin_tree.ts";
import { Group } from "../../loader/group/group.ts";
import { Observer } from "../../loader/observe/observer.ts";
import { pins } from "../helpers/host/fds.ts";
import { PYTHON } from "../helpers/host/script.ts";
import { Shares } from "../helpers/load/shares.ts";
import { runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { decisions, groupOf } from "../helpers/scene/status.ts";
import { STEPS } from "./growth_killed_main.ts";

const MAIN = fileURLToPath(new URL("./growth_killed_main.js", import.meta.url));
const WORKERS = 100;
const COUNT = 200;
const HOLD = { timeMs: 600_000, max: 4096 };

/** A pinned group of one listener, without a sidecar, to which others have come. */
async function outgrown(s: Scene): Promise<Shares> {
  const all = new Shares(s.address, s.port);
  s.defer(() => all[Symbol.asyncDispose]());
  await all.open(1);
  await (await s.sidecar()).close({ keep: true });
  s.defer(() => runCli(["detach", "--all"]));
  await all.open(WORKERS - 1);
  return all;
}

async function visit(all: Shares): Promise<number[]> {
  const { served, lost } = await all.visit(COUNT);
  assert.equal(lost, 0);
  return served;
}

async function killAfter(s: Scene, step: string): Promise<void> {
  const child = spawn(process.execPath, [MAIN, String(s.port), step], { stdio: "inherit" });
  const [, signal] = await once(child, "exit");
  assert.equal(signal, "SIGKILL");
}

const counted = (s: Scene) =>
  Object.values(decisions(groupOf(s.port))).reduce((sum, count) => sum + count, 0);

/** Returns the number of listeners that a program is attached to. */
function attached(s: Scene): number {
  using observer = new Observer();
  const { listeners } = observer.read();
  return listeners.filter((it) => it.key.port === s.port && it.programId !== null).length;
}

/** Asserts that nothing is pinned except the group, whole, and the events. */
function requirePins(s: Scene): void {
  const { root, events } = new PinTree(BPFFS);
  const [top, directory, ...files] = pins(BPFFS).filter((path) => join(BPFFS, path) !== events);
  assert.deepEqual(
    [top, directory],
    ["reuseport-migrate", `reuseport-migrate/${groupOf(s.port).name}`],
  );
  assert.equal(files.length, 12, `${root}: ${files.join()}`);
}

describe("a sidecar that is killed while a group grows", () => {
  for (const step of STEPS) {
    test(
      `after the step '${step}': decisions go on, and the next sidecar continues`,
      scene(async (s) => {
        const all = await outgrown(s);
        await visit(all);
        const { programId } = groupOf(s.port);
        await killAfter(s, step);
        await visit(all);
        assert.equal(attached(s), WORKERS);

        const sidecar = await s.sidecar({ hold: HOLD });
        requirePins(s);
        const group = groupOf(s.port);
        assert.deepEqual([group.attached, group.attachments], [true, 1]);
        assert.notEqual(group.programId, programId);
        assert.equal(group.firstProgramId, programId);
        // Between the exchange of the pins and the attachment the program before goes on counting.
        const isUnattached = step === "renamed" || step === "exchanged";
        assert.equal(counted(s), isUnattached ? COUNT : 2 * COUNT);
        for (let i = 0; i < 20; i++) await visit(all);
        const served = await visit(all);
        assert.equal(served.length, WORKERS);
        assert.equal(groupOf(s.port).listeners.filter(({ slot }) => slot !== null).length, WORKERS);
        await sidecar.close();
        assert.equal(attached(s), 0);
      }),
    );

    test(
      `after the step '${step}': commands without a sidecar work`,
      scene(async (s) => {
        const all = await outgrown(s);
        await killAfter(s, step);
        assert.equal((await runCli(["policy", s.spec, "--settings", "ignore"])).code, 0);
        requirePins(s);
        assert.equal(groupOf(s.port).attached, true);
        const before = counted(s);
        await visit(all);
        assert.equal(counted(s) - before, COUNT, "the pins are in force");
        assert.equal((await runCli(["detach", s.spec])).code, 0);
        assert.equal(attached(s), 0);
        assert.deepEqual(pins(BPFFS), []);
        await visit(all);
      }),
    );
  }

  test(
    "'exchanged', and then detached at once: it is ours, and nothing stays attached",
    scene(async (s) => {
      await outgrown(s);
      await killAfter(s, "exchanged");
      const check = await runCli(["check", "--verbose", s.spec]);
      assert.match(check.stdout, /other program .*our program is attached/);
      assert.equal((await runCli(["detach", s.spec])).code, 0);
      assert.equal(attached(s), 0);
    }),
  );
});

test(
  "a standby that outlived its sidecar is in the larger instance too",
  scene(async (s) => {
    const all = new Shares(s.address, s.port);
    s.defer(() => all[Symbol.asyncDispose]());
    await all.open(1);
    const killed = await SidecarProcess.attach(s.spec, "--hold", "60s", "--metrics", "off");
    s.defer(() => killed[Symbol.asyncDispose]());
    await killed.kill();
    await all.open(WORKERS - 1);
    const sidecar = await s.sidecar({ hold: HOLD });
    assert.ok(s.log.some(({ event }) => event === "grown"));
    await all.close(WORKERS);
    await all.connect(COUNT);
    await sidecar.reconcile();
    assert.equal(groupOf(s.port).hold?.connections, COUNT);
    assert.deepEqual(decisions(groupOf(s.port)), { "syn/selected": COUNT });
    await all.open(1);
    await sidecar.reconcile();
    assert.deepEqual(await all.serve(), { served: [COUNT], lost: 0 });
  }),
);

/**
 * Exchanges two directories over and over, until its stdin ends; an even number of times. The one
 * that is not published is removed then, and its pins come back in a new one.
 */
const EXCHANGE = `
import ctypes, os, select, sys, time
libc = ctypes.CDLL(None)
one, other = sys.argv[1:]
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(2):
        assert libc.renameat2(-100, one.encode(), -100, other.encode(), 2) == 0
        os.mkdir(one + "-next")
        for pin in os.listdir(one):
            os.rename(one + "/" + pin, one + "-next/" + pin)
        os.rmdir(one)
        os.rename(one + "-next", one)
        time.sleep(0.001)
`;

test(
  "a reader without the lock sees one instance, and never parts of two",
  scene(async (s) => {
    await outgrown(s);
    const { name } = groupOf(s.port);
    const pinTree = new PinTree(BPFFS);
    using _lock = await pinTree.lock();
    const unfinished = pinTree.makeUnfinished(name);
    const published = pinTree.directory(name);
    {
      using group = Group.open(published);
      using _next = Group.create(name, { ...group.record, slots: 256 }, unfinished);
    }
    const child = spawn(PYTHON, ["-c", EXCHANGE, unfinished, published], {
      stdio: ["pipe", "inherit", "inherit"],
    });
    s.defer(() => child.kill("SIGKILL"));
    const slots = new Map<number, number>();
    for (let i = 0; i < 2_000; i++) {
      using group = Group.open(published);
      const known = slots.get(group.programId) ?? group.record.slots;
      assert.equal(group.record.slots, known, "the record is that of the program");
      slots.set(group.programId, known);
      if (i % 100 === 0) await turn();
    }
    child.stdin.end();
    assert.deepEqual(await once(child, "exit"), [0, null]);
    assert.deepEqual([...slots.values()].sort(), [256, 64]);
    pinTree.removeUnfinished(name);
  }),
);
