/** status on a terminal of 80x24 (script(1)): its width, its colour, its keys. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { BIN } from "../helpers/product/cli.ts";
import { scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

/** Runs `reuseport-migrate ARGS` on a terminal; `type` writes keys once `seen` has what it names. */
async function onTerminal(
  args: string,
  type: (seen: (what: RegExp) => Promise<unknown>, keys: (typed: string) => void) => Promise<void>,
  vars: Readonly<Record<string, string>> = {},
): Promise<string> {
  const line = `stty rows 24 cols 80; '${process.execPath}' '${BIN}' ${args}; echo "ended $?"; stty -a`;
  const { NO_COLOR: _, COLUMNS: __, ...env } = process.env;
  const child = spawn("script", ["-qec", line, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...env, TERM: "xterm", ...vars },
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (more: string) => {
    text += more;
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  await type(
    (what) => until(`${what} is shown`, () => what.test(text)),
    (typed) => child.stdin.write(typed),
  );
  await until("the command has ended", () => /ended \d+/.test(text));
  child.stdin.end();
  await Promise.race([ended, sleep(10_000)]);
  return text;
}

test(
  "status and the help of every command fit into 80 columns, in colour unless NO_COLOR is set",
  scene(async (s) => {
    await s.listener();
    await s.sidecar();
    const quiet = async () => {};
    for (const args of ["status", "--help", "attach -h", "help store put"]) {
      const text = await onTerminal(args, quiet);
      const [shown = ""] = text.split("ended 0");
      assert.ok(shown.includes("\x1b["), args);
      const lines = stripVTControlCharacters(shown).replaceAll("\r", "").split("\n");
      assert.deepEqual(
        lines.filter((line) => line.length > 80),
        [],
      );
      const [plain = ""] = (await onTerminal(args, quiet, { NO_COLOR: "1" })).split("ended 0");
      assert.equal(plain.includes("\x1b["), false, args);
    }
  }),
);

test(
  "--watch: ? lists the keys, q ends, and the terminal echoes again",
  scene(async (s) => {
    await s.listener();
    await s.sidecar();
    const text = await onTerminal("status --watch --interval 100ms", async (seen, keys) => {
      await seen(/q quits/);
      keys("?");
      await seen(/Keys of status --watch/);
      keys("x");
      keys("q");
    });
    const [, after = ""] = text.split("\x1b[?1049l");
    assert.match(after, /^[^\n]*Linux[^\n]*\n[\s\S]*ended 0/);
    assert.match(after, /[^-]isig icanon/);
    assert.match(after, /[^-]echo /);
  }),
);
