/** A server that becomes a daemon: its listener does not close when the process that opened it exits. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Child, TempDir } from "../helpers/host/child.ts";
import { PYTHON } from "../helpers/host/script.ts";
import { scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

/** As HAProxy -D: binds and listens, and some time later forks; then the parent exits. */
const DAEMON = `
import os, socket, sys, time
address, port, seconds, pidfile = sys.argv[1:]
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind((address, int(port)))
listener.listen(64)
time.sleep(float(seconds))
child = os.fork()
if child:
    with open(pidfile, "w") as file:
        file.write(str(child))
    os._exit(0)
time.sleep(600)`;

test(
  "a new listener stays a target while its process forks and exits",
  scene(async (s) => {
    await s.listener();
    (await s.sidecar()).watch();
    using dir = new TempDir();
    const pidfile = dir.file("pid");
    for (const [i, seconds] of ["0.003", "0.006", "0.012", "0.03"].entries()) {
      const args = ["-c", DAEMON, s.address, String(s.port), seconds, `${pidfile}${i}`];
      await using parent = new Child(PYTHON, args, dir.file("log"));
      assert.equal(await parent.exited, 0, parent.output());
      const pid = Number(readFileSync(`${pidfile}${i}`, "utf8"));
      s.defer(() => existsSync(`/proc/${pid}`) && process.kill(pid, "SIGKILL"));
      await until("the daemon's listener is a target", () =>
        groupOf(s.port).listeners.some(
          ({ slot, owners }) => slot !== null && owners[0]?.pid === pid,
        ),
      );
    }
    await until("all are seen", () => groupOf(s.port).listeners.length === 5);
    const said = s.log.filter(({ event }) => event === "listener_added").length;
    assert.equal(said, 5);
    assert.deepEqual(
      s.log.filter(({ event }) => event === "listener_closed").map(({ text }) => text),
      [],
    );
  }),
);
