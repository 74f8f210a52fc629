/** exec: a server and its sidecar in one command; and that nothing of it stays. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { readStatus } from "../../loader/index.ts";
import { TempDir } from "../helpers/host/child.ts";
import { pins } from "../helpers/host/fds.ts";
import { NotifySocket } from "../helpers/host/notify_socket.ts";
import { runCli } from "../helpers/product/cli.ts";
import { httpServer, isRunning, served, whoServes } from "../helpers/product/exec.ts";
import { assertNothingLeft, execIn, TRAPS } from "../helpers/scene/exec_scene.ts";
import { BPFFS, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

/**
 * Runs a command at a terminal, types Ctrl-C when it is ready, then ends it; prints all it wrote.
 */
const AT_TERMINAL = `
import os, pty, signal, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
out = b""
def read_until(word):
    global out
    while word not in out:
        out += os.read(fd, 4096)
read_until(b"ready")
os.write(fd, b"\\x03")
read_until(b"got SIGINT")
time.sleep(0.5) # for a second one to come
os.kill(pid, signal.SIGTERM)
read_until(b"got SIGTERM")
print(out.decode(), end="")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

describe("exec", () => {
  for (const [script, code] of [
    ["exit 0", 0],
    ["exit 7", 7],
    ["kill -KILL $$", 137],
    ["kill -TERM $$", 143],
  ] as const) {
    test(
      `exits as its server does: '${script}' is ${code}`,
      scene(async (s) => {
        const exec = execIn(s, [], ["sh", "-c", script]);
        assert.equal(await exec.child.exited, code, exec.output);
        assertNothingLeft(exec);
      }),
    );
  }

  test(
    "leaves the command line after '--', and stdout, to the server",
    scene(async (s) => {
      const words = ["--help", "-v", "--", "--no-x", "007", "a b", "", "$HOME", "'"];
      const command = ["sh", "-c", 'for word; do echo "<$word>"; done', "sh", ...words];
      const run = await runCli(["exec", s.spec, "--", ...command]);
      const stdout = words.map((word) => `<${word}>\n`).join("");
      assert.deepEqual([run.code, run.stdout], [0, stdout], run.stderr);
    }),
  );

  test(
    "runs nothing when there is no such command, or none that can be run",
    scene(async (s) => {
      for (const [command, code] of [
        ["no-such-command", 127],
        ["/etc/passwd", 126],
      ] as const) {
        const run = await runCli(["exec", s.spec, "--", command]);
        assert.equal(run.code, code);
        assert.match(
          run.stderr,
          new RegExp(`^reuseport-migrate: '${command}' cannot be run: .*\n$`),
        );
      }
    }),
  );

  test(
    "runs nothing when it cannot attach",
    scene(async (s) => {
      using dir = new TempDir();
      const drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
      const run = await runCli(["exec", s.spec, "--", "touch", dir.file("ran")], drop);
      assert.equal(run.code, 5, run.stderr);
      assert.equal(run.stderr.split("\n").length, 2, run.stderr);
      assert.equal(existsSync(dir.file("ran")), false);
      assert.deepEqual(pins(BPFFS), []);
    }),
  );

  test(
    "passes signals on",
    scene(async (s) => {
      const exec = execIn(s, [], ["sh", "-c", TRAPS]);
      await exec.wrote("ready");
      for (const name of ["INT", "QUIT", "USR1", "USR2", "HUP", "WINCH", "CONT"] as const) {
        exec.child.kill(`SIG${name}`);
        await exec.wrote(`got SIG${name}`);
      }
      exec.child.kill("SIGTERM");
      assert.equal(await exec.child.exited, 9, exec.output);
      assert.match(exec.output, /got SIGTERM\n$/);
      assertNothingLeft(exec);
    }),
  );

  test(
    "does not send a second time what the terminal has sent",
    scene(async (s) => {
      const under = ["python3", "-c", AT_TERMINAL];
      const exec = execIn(s, [], ["sh", "-c", TRAPS], under);
      assert.equal(await exec.child.exited, 9, exec.output);
      assert.equal(exec.output.split("got SIGINT").length - 1, 1, exec.output);
    }),
  );

  test(
    "ends what its server leaves running: SIGTERM, then SIGKILL",
    scene(async (s) => {
      const script = `(trap "" TERM; echo deaf; exec sleep 1000) & sleep 1000 & echo started;
        until [ -e "$0" ]; do sleep 0.01; done; exit 3`;
      using dir = new TempDir();
      const exec = execIn(s, ["--stop-timeout", "300ms"], ["sh", "-c", script, dir.file("go")]);
      // Either may be first.
      await exec.wrote("deaf");
      await exec.wrote("started");
      const processes = exec.processes();
      assert.ok(processes.length >= 3);
      writeFileSync(dir.file("go"), "");
      assert.equal(await exec.child.exited, 3, exec.output);
      assert.deepEqual(processes.filter(isRunning), []);
      assertNothingLeft(exec);
    }),
  );

  test(
    "attaches to a server that does not set SO_REUSEPORT",
    scene(async (s) => {
      const exec = execIn(s, [], httpServer(s.port, s.address));
      const pid = await served(s.port);
      await until("it is attached", () => readStatus({ bpffs: BPFFS }).groups.length === 1);
      // On a busy machine there are two standbys while one replaces the other.
      const { listeners, attached, sidecar } = await until("its listeners are known", () => {
        const group = groupOf(s.port);
        return group.listeners.some(({ role }) => role === "unknown") ? null : group;
      });
      assert.equal(attached, true);
      assert.equal(sidecar, exec.child.pid);
      assert.deepEqual(
        listeners.map(({ role, owners }) => [role, owners[0]?.pid, owners[1]?.comm]),
        [
          ["target", pid, undefined],
          ["standby", exec.child.pid, "rm-keeper"],
        ],
      );
      assert.equal(await exec.child.stop("SIGTERM"), 143, exec.output);
      assert.equal(exec.output, "");
      assertNothingLeft(exec);
    }),
  );

  test(
    "tells the service manager when its server listens, and keeps its socket to itself",
    scene(async (s) => {
      using dir = new TempDir();
      using manager = new NotifySocket(dir.file("notify"));
      const command = [
        "sh",
        "-c",
        'echo "<$NOTIFY_SOCKET>"; exec "$@"',
        "sh",
        ...httpServer(s.port, s.address),
      ];
      const exec = execIn(s, [], command, ["env", `NOTIFY_SOCKET=${dir.file("notify")}`]);
      await until("READY=1", () => manager.received().includes("READY=1"));
      assert.notEqual(await whoServes(s.port), null);
      assert.equal(exec.output, "<>\n");
    }),
  );

  test(
    "killed: the server goes on, and detach removes the pins",
    scene(async (s) => {
      const exec = execIn(s, [], httpServer(s.port, s.address));
      const pid = await served(s.port);
      await until("it is attached", () => readStatus({ bpffs: BPFFS }).groups.length === 1);
      await exec.child.stop("SIGKILL");
      assert.equal(await whoServes(s.port), pid);
      assert.deepEqual(exec.processes(), [pid]);
      const detach = await runCli(["detach", "--all"]);
      assert.equal(detach.code, 0, detach.stderr);
      assert.deepEqual(pins(BPFFS), []);
      assert.equal(await whoServes(s.port), pid);
    }),
  );
});
