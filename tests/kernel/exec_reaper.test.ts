/** exec as pid 1 of a container: it reaps orphans, and still learns how its own children end. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Child } from "../helpers/host/child.ts";
import { PYTHON } from "../helpers/host/script.ts";
import { tempDir } from "../helpers/net/netns.ts";
import { BIN } from "../helpers/product/cli.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";

const ORPHANS = 30;
const CODE = 7;

/**
 * Makes orphans, as many of them at once as one by one, and waits until all have ended; then prints
 * how many are defunct after a while, at the least.
 */
const SERVER = `
import os, time
def states():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try: yield open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[:2]
        except OSError: pass
def defunct(): return sum(state == "Z" and parent == "1" for state, parent in states())
for i in range(${ORPHANS}):
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.1 + 0.02 * (i % 3))
            os._exit(0)
        os._exit(0)
    os.wait()
time.sleep(0.5)
least = defunct()
for i in range(40):
    if not least: break
    time.sleep(0.1)
    least = min(least, defunct())
print("defunct:", least, flush=True)
os._exit(${CODE})`;

/** Runs a command as pid 1; returns its exit code and output. */
async function asPid1(s: Scene, command: readonly string[]) {
  const under = ["--pid", "--fork", "--kill-child", "--mount-proc"];
  await using child = new Child("unshare", [...under, ...command], tempDir(s).file("log"));
  const code = await child.exited;
  return { code, output: child.output() };
}

describe("exec as pid 1", () => {
  for (const args of [[], ["--hold", "0"]]) {
    test(
      `leaves no defunct process, and exits as its server does ${args.join(" ")}`,
      scene(async (s) => {
        const exec = [process.execPath, BIN, "exec", s.spec, ...args];
        const { code, output } = await asPid1(s, [...exec, "--", PYTHON, "-c", SERVER]);
        assert.match(output, /^defunct: 0$/m);
        assert.equal(code, CODE, output);
      }),
    );
  }

  test(
    "the same below a pid 1 that reaps only its own children",
    scene(async (s) => {
      const spawn = `require("child_process").spawn(process.argv[1], process.argv.slice(2), { stdio: "inherit" }).on("exit", process.exit)`;
      const command = [process.execPath, "-e", spawn, PYTHON, "-c", SERVER];
      const { code, output } = await asPid1(s, command);
      assert.match(output, new RegExp(`^defunct: ${ORPHANS}$`, "m"));
      assert.equal(code, CODE);
    }),
  );
});
