/** exec: a server that becomes a daemon is named, and counts as the server. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { NotifySocket } from "../helpers/host/notify_socket.ts";
import { tempDir } from "../helpers/net/netns.ts";
import { httpServer, isRunning, served, whoServes } from "../helpers/product/exec.ts";
import { assertNothingLeft, execIn } from "../helpers/scene/exec_scene.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

/** A command that exits with 0 before its server, which it leaves in the background, listens. */
const daemon = (s: Scene) => ["sh", "-c", '"$@" &', "sh", ...httpServer(s.port, s.address)];

const said = (start: number, pid: number) =>
  `start ${start} exited with 0 and left a listener (node, pid ${pid}): it daemonizes`;

describe("a server that daemonizes", () => {
  test(
    "--restart: it is the server, until it ends, is replaced or is stopped",
    scene(async (s) => {
      const exec = execIn(s, ["--restart"], daemon(s));
      const first = await served(s.port);
      await exec.wrote(said(1, first));
      process.kill(first, "SIGKILL");
      await exec.wrote("start 1 ended with code 0: starting again in 100 ms");
      const second = await served(s.port, first);
      await exec.wrote(said(2, second));
      exec.child.kill("SIGHUP");
      const third = await served(s.port, second);
      await exec.wrote("start 2 ended with code 0");
      await exec.wrote(said(3, third));
      assert.equal(isRunning(second), false);
      assert.equal(await whoServes(s.port), third);
      assert.equal(await exec.child.stop("SIGTERM"), 0, exec.output);
      assert.equal(exec.output.split("starting again").length - 1, 1, exec.output);
      assert.equal(exec.output.split("it daemonizes").length - 1, 3, exec.output);
      assertNothingLeft(exec);
    }),
  );

  test(
    "once: exec waits for its end, and passes signals on to it",
    scene(async (s) => {
      const exec = execIn(s, [], daemon(s));
      const pid = await served(s.port);
      await exec.wrote(said(1, pid));
      exec.child.kill("SIGCONT");
      assert.equal(await whoServes(s.port), pid);
      assert.equal(await exec.child.stop("SIGTERM"), 0, exec.output);
      assertNothingLeft(exec);
    }),
  );

  test(
    "not so one that has listened, and leaves a process that does not: it has ended",
    scene(async (s) => {
      const script = 'sleep 600 & "$@" & wait $!; exit 0';
      const command = ["sh", "-c", script, "sh", ...httpServer(s.port, s.address)];
      const path = tempDir(s).file("notify");
      const manager = new NotifySocket(path);
      s.defer(() => manager[Symbol.dispose]());
      const exec = execIn(s, ["--restart"], command, ["env", `NOTIFY_SOCKET=${path}`]);
      const first = await served(s.port);
      await until("exec knows that it listens", () => manager.received().includes("READY=1"));
      const before = exec.processes();
      process.kill(first, "SIGKILL");
      await exec.wrote("start 1 ended with code 0: starting again in 100 ms");
      await served(s.port, first);
      await until("what it left is ended", () => !before.some(isRunning));
      assert.doesNotMatch(exec.output, /daemonizes/);
    }),
  );

  test(
    "nor one whose worker listens for a moment longer than it, when it is stopped",
    scene(async (s) => {
      // The shell exits at SIGTERM; the server in the background gets it only from exec.
      const script = '"$@" & trap "exit 0" TERM; wait';
      const command = ["sh", "-c", script, "sh", ...httpServer(s.port, s.address)];
      for (const args of [[], ["--restart"]]) {
        const exec = execIn(s, args, command);
        await served(s.port);
        assert.equal(await exec.child.stop("SIGTERM"), 0, exec.output);
        assert.equal(exec.output, "");
        assertNothingLeft(exec);
      }
    }),
  );
});
