/** A process with a name that would clear a terminal, set its title and forge a line of the log. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Child } from "../helpers/host/child.ts";
import { PYTHON } from "../helpers/host/script.ts";
import { AS_NOBODY } from "../helpers/hostile/nobody.ts";
import { tempDir } from "../helpers/net/netns.ts";
import { runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";

const NAME = "\\x1b[2J\\x1b]0;x\\x07\\n";
const SHOWN = "\\x1b[2J\\x1b]0;x\\x07\\x0a";
const SCRIPT = `
import ctypes, socket, sys, time
ctypes.CDLL(None).prctl(15, b"${NAME}", 0, 0, 0)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
print("READY", flush=True)
time.sleep(3600)
`;

async function attacker(s: Scene): Promise<void> {
  const [command = "", ...args] = [...AS_NOBODY, PYTHON, "-c", SCRIPT, String(s.port)];
  const child = new Child(command, args, tempDir(s).file("log"));
  s.defer(() => child[Symbol.asyncDispose]());
  await child.until("READY", () => child.output().includes("READY"));
}

/** Asserts that the text has no control character except line breaks. */
function assertSafe(what: string, text: string): void {
  const unsafe = /[^\P{C}\n]/u.exec(text);
  assert.equal(unsafe, null, `${what}: ${JSON.stringify(text)}`);
}

test(
  "it is shown escaped by status, check, the log and /metrics",
  scene(async (s) => {
    await attacker(s);
    for (const json of [[], ["--json"]]) {
      await using sidecar = await SidecarProcess.attach(s.spec, ...json);
      const log = sidecar.output();
      assertSafe("the log", log);
      assert.ok(json.length > 0 || log.includes(SHOWN), log);
      assertSafe("/metrics", await sidecar.metrics());
      for (const command of [["status"], ["status", "--json"], ["check", "--verbose", s.spec]]) {
        const { stdout, stderr } = await runCli(command);
        assertSafe(command.join(" "), stdout + stderr);
        if (command.length === 1) assert.ok(stdout.includes(SHOWN.slice(0, 13)), stdout);
      }
      await sidecar.stop();
    }
  }),
);
