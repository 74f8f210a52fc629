/** run --html and --timeline: what a change of listeners looked like, and files that cannot be. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { tempDir } from "../helpers/net/netns.ts";
import { runCli } from "../helpers/product/cli.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";

const COUNT = 20;

/** A listener with a queue, one that can take it, and a command that ends the first. */
async function change(s: Scene, migrate: "newest" | "off"): Promise<string[]> {
  const old = await s.listener();
  const sidecar = await s.sidecar({ migrate });
  await bringTo("accept queue", COUNT, s);
  const next = await s.listener();
  await next.serve();
  await sidecar.reconcile();
  return ["sh", "-c", `sleep 0.2; kill -KILL ${old.process.pid}; sleep 0.2`];
}

/** Returns the totals of the lanes of a text: `migrated` -> 20. */
function totals(text: string): Record<string, number> {
  const rows = text.matchAll(/^ {2}(migrated|lost|waiting, most) .* (\d+)$/gm);
  return Object.fromEntries([...rows].map(([, name, count]) => [name, Number(count)]));
}

for (const [migrate, code, lanes] of [
  ["newest", 0, { "waiting, most": COUNT, migrated: COUNT }],
  ["off", 3, { "waiting, most": COUNT, lost: COUNT }],
] as const) {
  test(
    `migrate ${migrate}: the queue, and what became of it`,
    scene(async (s) => {
      const command = await change(s, migrate);
      const file = tempDir(s).file("run.html");
      writeFileSync(file, "of the last run");
      const args = [s.spec, "--settle", "300ms", "--timeline", "--html", file, "--", ...command];
      const run = await runCli(["run", ...args]);
      assert.equal(run.code, code, run.stderr);
      assert.deepEqual(totals(run.stderr), lanes, run.stderr);
      const page = readFileSync(file, "utf8");
      const has = (text: string) => page.includes(text);
      assert.deepEqual(
        [has('class="migrated"'), has('class="lost"'), has('<pre class="bad">')],
        migrate === "off" ? [false, true, true] : [true, false, false],
      );
      assert.ok(has(s.spec) && has("the command ended"));
      assert.match(page, /generation 1, \d listener/);
      assert.ok(has(run.stderr.trimEnd().split("\n").at(-1) ?? "?"), "the verdict");
    }),
  );
}

test(
  "a file that cannot be written: the command is not run",
  scene(async (s) => {
    await s.listener();
    await s.sidecar();
    const dir = tempDir(s);
    const ran = dir.file("ran");
    const run = await runCli(["run", s.spec, "--html", "/nowhere/x.html", "--", "touch", ran]);
    assert.deepEqual([run.code, existsSync(ran)], [2, false]);
    assert.match(
      run.stderr,
      /^reuseport-migrate: --html \/nowhere\/x.html cannot be written \(ENOENT\)/,
    );
    const failed = await runCli([
      "run",
      s.spec,
      "--html",
      dir.file("x.html"),
      "--settle",
      "0",
      "--",
      "false",
    ]);
    assert.equal(failed.code, 1);
    assert.deepEqual(
      readdirSync(dir.path).filter((name) => name.includes("html")),
      ["x.html"],
    );
  }),
);
