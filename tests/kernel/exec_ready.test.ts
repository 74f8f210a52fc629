/** exec --restart: a start replaces the one before once it is ready, and not once it listens. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readStatus } from "../../loader/index.ts";
import { NotifySocket } from "../helpers/host/notify_socket.ts";
import { PYTHON } from "../helpers/host/script.ts";
import { type Kind, visit } from "../helpers/load/client.ts";
import { tempDir } from "../helpers/net/netns.ts";
import { httpServer, served, whoServes } from "../helpers/product/exec.ts";
import { execIn } from "../helpers/scene/exec_scene.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

/** Listens and accepts nothing, as a server that loads its application then; it dies if told. */
const LOADING = `
import os, socket, sys, time
s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen(128)
print("loading", flush=True)
while not os.path.exists(sys.argv[2] + ".done"): time.sleep(0.05)
sys.exit(3)`;

/** A command that serves, or loads, by what the file says; and how to change that. */
function server(s: Scene) {
  const file = tempDir(s).file("switch");
  const is = (what: "serving" | "loading") => writeFileSync(file, what);
  is("serving");
  const script = `[ $(cat $0) = serving ] && exec "$@"; exec ${PYTHON} -c '${LOADING}' ${s.port} $0`;
  const command = ["sh", "-c", script, file, ...httpServer(s.port, s.address)];
  return { command, is, die: () => writeFileSync(`${file}.done`, "") };
}

/** How `count` clients fare, one after another; and that none of them waits. */
async function clients(s: Scene, count: number): Promise<Kind[]> {
  const kinds: Kind[] = [];
  for (let i = 0; i < count; i++) {
    const late = AbortSignal.timeout(5_000);
    const answer = visit({ port: s.port, path: "/x" });
    const tooLate = new Promise<Kind>((resolve) => {
      late.addEventListener("abort", () => resolve("timeout"));
    });
    kinds.push(await Promise.race([answer, tooLate]));
  }
  return kinds;
}

/** The listeners, and those that are ready; none before their group is attached. */
const listeners = () => readStatus({ bpffs: BPFFS }).groups.flatMap((group) => group.listeners);
const ready = () => listeners().filter(({ slot }) => slot !== null);

const ALL_OK = new Array<Kind>(20).fill("ok");

describe("exec --restart", () => {
  test(
    "a new server that listens, and dies before it accepts, changes nothing",
    scene(async (s) => {
      const { command, is, die } = server(s);
      const exec = execIn(s, ["--restart"], command);
      const first = await served(s.port);
      is("loading");
      exec.child.kill("SIGHUP");
      await exec.wrote("loading");
      await sleep(1_000); // no traffic, so that nothing keeps the old one
      assert.deepEqual(await clients(s, 20), ALL_OK);
      assert.equal(await whoServes(s.port), first);
      die();
      await exec.wrote("start 2 ended with code 3: start 1 stays");
      assert.deepEqual(await clients(s, 20), ALL_OK);
      assert.equal(await whoServes(s.port), first);
      assert.doesNotMatch(exec.output, /start 1 ended|start 2 is ready/);
    }),
  );

  test(
    "a new server that never accepts is stopped in time, and the old one stays",
    scene(async (s) => {
      const { command, is } = server(s);
      const exec = execIn(s, ["--restart", "--start-timeout", "1s"], command);
      const first = await served(s.port);
      is("loading");
      exec.child.kill("SIGHUP");
      await exec.wrote("start 2 is not ready after 1s: stopping it, start 1 stays");
      await exec.wrote("start 2 ended by SIGTERM");
      assert.equal(await whoServes(s.port), first);
    }),
  );

  test(
    "--ready-check CMD: the old one stays until the command exits with 0",
    scene(async (s) => {
      const passes = tempDir(s).file("passes");
      const { command } = server(s);
      writeFileSync(passes, "");
      const check = `test -e ${passes}`;
      const exec = execIn(s, ["--restart", "--ready-check", check], command);
      const first = await served(s.port);
      await until("start 1 is ready", () => ready().length === 1);
      rmSync(passes);
      exec.child.kill("SIGHUP");
      await until("start 2 listens", () => listeners().length === 3);
      await sleep(500);
      assert.equal(await whoServes(s.port), first);
      assert.equal(ready().length, 1);
      writeFileSync(passes, "");
      await served(s.port, first);
      await exec.wrote("start 1 ended by SIGTERM");
    }),
  );

  test(
    "--ready-check off: a server that listens is ready",
    scene(async (s) => {
      const { command, is } = server(s);
      const exec = execIn(s, ["--restart", "--ready-check", "off"], command);
      await served(s.port);
      is("loading");
      exec.child.kill("SIGHUP");
      await exec.wrote("start 2 is ready");
    }),
  );

  test(
    "tells the service manager when the server accepts, not when it listens",
    scene(async (s) => {
      const socket = tempDir(s).file("notify");
      const manager = new NotifySocket(socket);
      s.defer(() => manager[Symbol.dispose]());
      const { command, is, die } = server(s);
      is("loading");
      const exec = execIn(s, ["--restart"], command, ["env", `NOTIFY_SOCKET=${socket}`]);
      await exec.wrote("loading");
      await sleep(1_000);
      assert.deepEqual(manager.received(), []);
      is("serving");
      die();
      await until("READY=1", () => manager.received().includes("READY=1"));
      assert.notEqual(await whoServes(s.port), null);
    }),
  );
});
