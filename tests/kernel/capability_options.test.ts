/** Options that require a further capability: without it they say so, and the rest works. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { describe, test } from "node:test";
import { PYTHON } from "../helpers/host/script.ts";
import { HostileListeners } from "../helpers/hostile/listeners.ts";
import { AS_NOBODY, NOBODY_UID } from "../helpers/hostile/nobody.ts";
import { runCli } from "../helpers/product/cli.ts";
import { rightsOf, withCapabilities } from "../helpers/product/rights.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { execIn } from "../helpers/scene/exec_scene.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

const ATTACH = rightsOf("attach");

async function refused(args: readonly string[], have: readonly string[], says: RegExp) {
  const run = await runCli(args, withCapabilities(have));
  assert.equal(run.code, 5, run.stderr);
  assert.match(run.stderr.trim().split("\n").at(-1) ?? "", says);
}

describe("--hold", () => {
  test(
    "of a port below 1024: CAP_NET_BIND_SERVICE",
    scene(async (s) => {
      await s.listener({ port: 81 });
      const args = ["attach", ":81", "--hold", "5s", "--metrics", "off"];
      await refused(args, ATTACH, /a standby on 127\.0\.0\.1:81 .*grant CAP_NET_BIND_SERVICE$/);
      await attaches(args.slice(1), [...ATTACH, "CAP_NET_BIND_SERVICE"]);
    }),
  );

  test(
    "of another user's listener: CAP_CHOWN",
    scene(async (s) => {
      await using _other = await HostileListeners.start("plain", s.port, 1);
      const args = ["attach", `:${s.port}`, "--hold", "5s", "--metrics", "off"];
      await refused(args, ATTACH, new RegExp(`uid ${NOBODY_UID}, .*grant CAP_CHOWN$`));
      await attaches(args.slice(1), [...ATTACH, "CAP_CHOWN"]);
    }),
  );
});

/** Asserts that `attach ARGS` becomes ready without a warning. */
async function attaches(args: readonly string[], have: readonly string[]): Promise<void> {
  await using sidecar = await SidecarProcess.attachUnder(withCapabilities(have), ...args);
  assert.deepEqual(sidecar.warnings(), []);
  assert.match(sidecar.output(), /^READY groups=1 /m);
  await sidecar.stop();
}

test(
  "status without CAP_SYS_PTRACE does not name options in which listeners differ, and works",
  scene(async (s) => {
    await s.listener();
    await s.listener({ options: [{ level: 6, name: 1, value: 1 }] }); // TCP_NODELAY
    s.defer(() => runCli(["detach", "--all"]));
    await runCli(["attach", s.spec, "--once"]);
    const status = (have: readonly string[]) => runCli(["status", s.spec], withCapabilities(have));
    const rights = rightsOf("status");
    const full = await status([...rights, "CAP_SYS_PTRACE"]);
    assert.match(full.stdout, /classes 1 and 2 differ in TCP_NODELAY/);
    const less = await status(rights);
    assert.deepEqual([less.code, less.stderr], [0, ""]);
    assert.equal(less.stdout, full.stdout.replace(/^.*differ in TCP_NODELAY.*\n/m, ""));
  }),
);

test(
  "detach --all without CAP_SYS_ADMIN leaves a program whose pin is lost, and says so",
  scene(async (s) => {
    await s.listener();
    s.defer(() => runCli(["detach", "--all"]));
    await runCli(["attach", s.spec, "--once"]);
    rmSync(`${BPFFS}/reuseport-migrate/${groupOf(s.port).name}/program`);
    const less = await runCli(["detach", "--all"], withCapabilities(rightsOf("detach")));
    assert.equal(less.code, 7, less.stderr);
    assert.match(less.stderr, /was not detached: .* without CAP_SYS_ADMIN .*; run 'detach --all'/);
    const more = await runCli(["detach", "--all"]);
    assert.equal(more.code, 0, more.stderr);
  }),
);

describe("exec of a server that runs as another user, without CAP_KILL", () => {
  const HAVE = [...ATTACH, "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"];
  const SAYS = /SIGTERM cannot be sent to process \d+: it runs as another user; grant CAP_KILL/;
  const SERVER =
    "import signal, socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); print('listens', flush=True); signal.pause()";
  const server = (s: Scene) => [...AS_NOBODY, PYTHON, "-c", SERVER, String(s.port)];
  const timeout = ["--stop-timeout", "500ms", "--drain", "0"];

  test(
    "it is killed once exec ends, which says why",
    scene(async (s) => {
      const exec = execIn(s, timeout, server(s), withCapabilities(HAVE));
      await exec.wrote("listens");
      exec.child.kill("SIGTERM");
      assert.equal(await exec.child.exited, 5, exec.output);
      assert.match(exec.output, SAYS);
      assert.deepEqual(exec.processes(), []);
    }),
  );

  test(
    "--restart kills it after the stop timeout, and goes on",
    scene(async (s) => {
      const exec = execIn(
        s,
        ["--restart", "--ready-check", "off", ...timeout],
        server(s),
        withCapabilities(HAVE),
      );
      await exec.wrote("listens");
      const [first] = exec.processes();
      exec.child.kill("SIGHUP");
      await exec.wrote("start 1 ended by SIGKILL");
      assert.match(exec.output, SAYS);
      assert.equal(exec.processes().includes(first ?? 0), false);
      assert.equal(exec.child.running, true);
      exec.child.kill("SIGTERM");
      assert.equal(await exec.child.exited, 0, exec.output);
      await until("its server has ended", () => exec.processes().length === 0);
    }),
  );
});
