/** exec below a service manager: its watchdog, its protocol for reloads, its socket units. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { NotifySocket } from "../helpers/host/notify_socket.ts";
import { PYTHON } from "../helpers/host/script.ts";
import { tempDir } from "../helpers/net/netns.ts";
import { runCli } from "../helpers/product/cli.ts";
import { httpServer, served, whoServes } from "../helpers/product/exec.ts";
import { execIn } from "../helpers/scene/exec_scene.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

/** Listens and accepts; SIGUSR1 closes its listener, SIGUSR2 opens it again. */
const DEAF = `
import signal, socket, sys
def open_it(*_):
    global s
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", int(sys.argv[1])))
    s.listen(16)
    s.settimeout(0.05)
def close_it(*_):
    global s
    s.close()
    s = None
signal.signal(signal.SIGUSR1, close_it)
signal.signal(signal.SIGUSR2, open_it)
open_it()
while True:
    try:
        if s: s.accept()[0].close()
        else: signal.pause()
    except (OSError, AttributeError): pass`;

const WATCHDOG_MS = 1_000;

/** A service manager, and the command that starts exec as it does. */
function systemd(s: Scene, vars: readonly string[] = []) {
  const path = tempDir(s).file("notify");
  const manager = new NotifySocket(path);
  s.defer(() => manager[Symbol.dispose]());
  const become = `export WATCHDOG_PID=$$; exec "$@"`;
  const under = ["env", `NOTIFY_SOCKET=${path}`, ...vars, "sh", "-c", become, "sh"];
  const states = (name: string) => manager.received().filter((each) => each.startsWith(name));
  return { manager, under, states };
}

describe("the service manager's watchdog", () => {
  for (const args of [[], ["--restart"]]) {
    test(
      `is pinged while the server listens, and only then; exec ${args.join("")}`,
      scene(async (s) => {
        const { under, states } = systemd(s, [`WATCHDOG_USEC=${WATCHDOG_MS * 1_000}`]);
        const exec = execIn(s, args, [PYTHON, "-c", DEAF, String(s.port)], under);
        const pings = () => states("WATCHDOG=1").length;
        await exec.child.until("it is pinged", () => pings() >= 3);
        exec.child.kill("SIGUSR1");
        await sleep(WATCHDOG_MS);
        const then = pings();
        await sleep(2 * WATCHDOG_MS);
        assert.equal(pings(), then);
        exec.child.kill("SIGUSR2");
        await exec.child.until("it is pinged again", () => pings() > then);
      }),
    );
  }

  test(
    "is exec's, whose server learns nothing of the service manager",
    scene(async (s) => {
      const vars = [`WATCHDOG_USEC=${WATCHDOG_MS * 1_000}`, "LISTEN_PID=1", "LISTEN_FDS=1"];
      const { under } = systemd(s, [...vars, "LISTEN_FDNAMES=web"]);
      const exec = execIn(s, [], ["sh", "-c", "env; ls /proc/self/fd"], under);
      assert.equal(await exec.child.exited, 0);
      assert.match(exec.output, /^PATH=/m);
      assert.doesNotMatch(exec.output, /^(NOTIFY|WATCHDOG|LISTEN)_/m);
    }),
  );
});

describe("the service manager's protocol", () => {
  test(
    "a restart is a reload, from SIGHUP until it is over; the end is said",
    scene(async (s) => {
      const { manager, under, states } = systemd(s);
      const exec = execIn(s, ["--restart"], httpServer(s.port, s.address), under);
      const first = await served(s.port);
      await until("READY=1", () => states("READY=1").length === 1);
      exec.child.kill("SIGHUP");
      await served(s.port, first);
      await until("READY=1 again", () => states("READY=1").length === 2);
      assert.equal(await exec.child.stop("SIGTERM"), 0, exec.output);
      const received = manager.received();
      const names = received.map((state) => state.replace(/=.*/, ""));
      assert.deepEqual(names, ["READY", "RELOADING", "MONOTONIC_USEC", "READY", "STOPPING"]);
      assert.match(received[2] ?? "", /^MONOTONIC_USEC=\d+$/);
    }),
  );

  test(
    "a restart that fails is over too",
    scene(async (s) => {
      const { under, states } = systemd(s);
      const go = tempDir(s).file("fail");
      const script = '[ -e "$0" ] && exit 3; exec "$@"';
      const command = ["sh", "-c", script, go, ...httpServer(s.port, s.address)];
      const exec = execIn(s, ["--restart"], command, under);
      const first = await served(s.port);
      await until("READY=1", () => states("READY=1").length === 1);
      writeFileSync(go, "");
      exec.child.kill("SIGHUP");
      await until("READY=1 again", () => states("READY=1").length === 2);
      assert.equal(states("RELOADING=1").length, 1);
      await exec.wrote("start 2 ended with code 3: start 1 stays");
      assert.equal(await whoServes(s.port), first);
    }),
  );

  test(
    "a socket that is gone is said once, and exec goes on",
    scene(async (s) => {
      const path = tempDir(s).file("none");
      const vars = [`NOTIFY_SOCKET=${path}`, "WATCHDOG_USEC=100000"];
      const exec = execIn(s, ["--restart"], httpServer(s.port, s.address), ["env", ...vars]);
      const first = await served(s.port);
      await exec.wrote("the service manager was not notified");
      exec.child.kill("SIGHUP");
      await served(s.port, first);
      assert.equal(await exec.child.stop("SIGTERM"), 0, exec.output);
      assert.equal(exec.output.split("was not notified").length - 1, 1, exec.output);
    }),
  );
});

test(
  "descriptors of a socket unit are refused in one sentence, and nothing runs",
  scene(async (s) => {
    const under = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3</dev/null', "sh"];
    const run = await runCli(["exec", s.spec, "--", "echo", "ran"], under);
    assert.equal(run.code, 2);
    assert.equal(run.stdout, "");
    assert.match(
      run.stderr,
      /^reuseport-migrate: exec passes on no descriptors .*LISTEN_FDS=1.*\n/,
    );
  }),
);
