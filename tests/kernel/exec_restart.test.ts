/** exec --restart: the new one first, then the old one; and when one of them fails. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { readStatus } from "../../loader/index.ts";
import { ServerSockets } from "../../loader/observe/server_sockets.ts";
import { Child, TempDir } from "../helpers/host/child.ts";
import { visit } from "../helpers/load/client.ts";
import { ExecProcess, httpServer, served, whoServes } from "../helpers/product/exec.ts";
import { assertNothingLeft, execIn, TRAPS } from "../helpers/scene/exec_scene.ts";
import { BPFFS, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

/** ordinary_http_main.js, but for what the file `switches` says. */
function switched(file: string, port: number): string[] {
  const script = `case $(cat "$0") in exit) exit 4;; hang) exec sleep 1000;; esac; exec "$@"`;
  writeFileSync(file, "serve");
  return ["sh", "-c", script, file, ...httpServer(port, "127.0.0.1")];
}

describe("exec --restart", () => {
  test(
    "replaces the server on SIGHUP, and stops it on SIGTERM",
    scene(async (s) => {
      const exec = execIn(s, ["--restart"], httpServer(s.port, s.address));
      const first = await served(s.port);
      exec.child.kill("SIGHUP");
      const second = await served(s.port, first);
      await exec.wrote("start 1 ended by SIGTERM");
      assert.deepEqual(exec.processes(), [second]);
      assert.equal(await exec.child.stop("SIGTERM"), 0, exec.output);
      assertNothingLeft(exec);
    }),
  );

  test(
    "replaces one that listens on every address, and lets it answer what it has accepted",
    scene(async (s) => {
      const exec = new ExecProcess([`:${s.port}`, "--restart"], httpServer(s.port));
      s.defer(() => exec[Symbol.asyncDispose]());
      const first = await served(s.port);
      const answer = fetch(`http://127.0.0.1:${s.port}/slow`).then((response) => response.text());
      using sockets = new ServerSockets();
      await until("it is accepted", () => sockets.accepted([first]) > 0);
      exec.child.kill("SIGHUP");
      await served(s.port, first);
      assert.equal(await answer, "/slow");
      await exec.wrote("start 1 ended by SIGTERM");
      const [group] = readStatus({ bpffs: BPFFS }).groups;
      assert.equal(group?.key.address, "::");
    }),
  );

  test(
    "starts it again when it dies",
    scene(async (s) => {
      const exec = execIn(s, ["--restart"], httpServer(s.port, s.address));
      const first = await served(s.port);
      process.kill(first, "SIGKILL");
      await exec.wrote("start 1 ended by SIGKILL: starting again in 100 ms");
      await served(s.port, first);
    }),
  );

  test(
    "leaves the port to whoever listens next, also after a hold",
    scene(async (s) => {
      const exec = execIn(s, ["--restart"], httpServer(s.port, s.address));
      const first = await served(s.port);
      const held = () => readStatus({ bpffs: BPFFS }).groups[0]?.hold;
      await until("there is a standby", () => held()?.standby);
      process.kill(first, "SIGKILL");
      await until("it holds", () => held()?.holding);
      const kinds = await Promise.all([1, 2, 3].map(() => visit({ port: s.port, path: "/x" })));
      assert.deepEqual(kinds, ["ok", "ok", "ok"]);
      await exec.child.stop("SIGTERM");
      const [command = "", ...args] = httpServer(s.port, s.address);
      using dir = new TempDir();
      await using next = new Child(command, args, dir.file("log"));
      await next.until("it serves", async () => (await whoServes(s.port)) === next.pid);
    }),
  );

  test(
    "keeps the old one when the new one exits before it listens, and tries again when told",
    scene(async (s) => {
      using dir = new TempDir();
      const exec = execIn(s, ["--restart"], switched(dir.file("switch"), s.port));
      const first = await served(s.port);
      writeFileSync(dir.file("switch"), "exit");
      exec.child.kill("SIGHUP");
      await exec.wrote("start 2 ended with code 4: start 1 stays");
      assert.equal(await whoServes(s.port), first);
      writeFileSync(dir.file("switch"), "serve");
      exec.child.kill("SIGHUP");
      await served(s.port, first);
    }),
  );

  test(
    "keeps the old one when the new one does not listen in time",
    scene(async (s) => {
      using dir = new TempDir();
      const command = switched(dir.file("switch"), s.port);
      const exec = execIn(s, ["--restart", "--start-timeout", "500ms"], command);
      const first = await served(s.port);
      writeFileSync(dir.file("switch"), "hang");
      exec.child.kill("SIGHUP");
      await exec.wrote("start 2 is not ready after 500ms: stopping it, start 1 stays");
      await exec.wrote("start 2 ended by SIGTERM");
      assert.deepEqual(exec.processes(), [first]);
      assert.equal(await whoServes(s.port), first);
    }),
  );

  test(
    "passes other signals on",
    scene(async (s) => {
      const exec = execIn(s, ["--restart", "--stop-timeout", "1s"], ["sh", "-c", TRAPS]);
      await exec.wrote("ready");
      for (const name of ["USR1", "USR2", "WINCH", "CONT"] as const) {
        exec.child.kill(`SIG${name}`);
        await exec.wrote(`got SIG${name}`);
      }
      exec.child.kill("SIGINT");
      assert.equal(await exec.child.exited, 0, exec.output);
      assert.match(exec.output, /got SIGTERM\n$/);
      assertNothingLeft(exec);
    }),
  );

  test(
    "insists, when the old one does not stop",
    scene(async (s) => {
      const deaf = ["sh", "-c", 'trap "" TERM; "$@"; :', "sh", ...httpServer(s.port, s.address)];
      const exec = execIn(s, ["--restart", "--stop-timeout", "300ms"], deaf);
      await served(s.port);
      exec.child.kill("SIGHUP");
      await exec.wrote("start 1 ended by SIGKILL");
    }),
  );

  test(
    "waits for the old one's connections before it stops it, and no longer than --drain",
    scene(async (s) => {
      const exec = execIn(s, ["--restart", "--drain", "1s"], httpServer(s.port, s.address));
      const first = await served(s.port);
      const client = connect(s.port, "127.0.0.1");
      s.defer(() => client.destroy());
      const ended = once(client, "close");
      client.resume().write("GET / HTTP/1.1\r\n"); // the server waits for the rest
      using sockets = new ServerSockets();
      await until("it is accepted", () => sockets.accepted([first]) === 1);
      exec.child.kill("SIGHUP");
      await exec.wrote("start 2 is ready");
      assert.equal(sockets.accepted([first]), 1);
      await exec.wrote("start 1 still has connections after 1s: stopping it");
      await ended;
      await exec.wrote("start 1 ended by SIGTERM");
    }),
  );
});
