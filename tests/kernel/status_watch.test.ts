/** status --watch through a pipe: what changes is a line, whoever attached. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { detach } from "../../loader/index.ts";
import { Child, TempDir } from "../helpers/host/child.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";

const BIN = fileURLToPath(new URL("../../cli/bin.js", import.meta.url));
const COUNT = 20;

/** `status --watch ARGS`, its output read so far. */
function watching(s: Scene, ...args: string[]): Child {
  const dir = new TempDir();
  const line = [BIN, "status", "--watch", "--interval", "100ms", ...args];
  const child = new Child(process.execPath, line, dir.file("log"));
  s.defer(async () => {
    await child[Symbol.asyncDispose]();
    dir[Symbol.dispose]();
  });
  return child;
}

const shows = (child: Child, what: RegExp) =>
  child.until(`${what} is shown`, () => what.test(child.output()));

test(
  "a reload, line by line, from the first attach to the detach; SIGINT ends it with 0",
  scene(async (s) => {
    const watch = watching(s);
    await shows(watch, /Z nothing is attached$/m);
    const old = await s.listener();
    const sidecar = await s.sidecar();
    await shows(watch, /Z 127\.0\.0\.1:\d+ \(netns \d+\) 1 target \(generation 1\); queued 0/m);
    await bringTo("accept queue", COUNT, s);
    await shows(watch, /; queued 20, half-open 0; syn kernel \d+ \([\d.]+\/s\)$/m);
    const next = await s.listener();
    await sidecar.reconcile();
    await old.leave("SIGKILL");
    await next.serve();
    await shows(watch, /; accept_queue selected 20 \([\d.]+\/s\)$/m);
    sidecar.close({ keep: false });
    await shows(watch, /is no longer attached\n.*Z nothing is attached$/m);
    const quiet = watch.output();
    assert.equal(await watch.stop("SIGINT"), 0);
    assert.equal(watch.output(), quiet);
  }),
);

test(
  "--json is an object a line, with decisions per second; without a sidecar",
  scene(async (s) => {
    const listener = await s.listener();
    await listener.serve();
    await (await s.sidecar()).close({ keep: true });
    s.defer(() => detach({ all: true, bpffs: BPFFS }));
    const watch = watching(s, "--json", s.spec);
    await shows(watch, /\n/);
    await s.peers(COUNT);
    await shows(watch, /"per_second":[1-9]/);
    assert.equal(await watch.stop("SIGTERM"), 0);
    const objects = watch
      .output()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.equal(objects[0].groups.length, 1);
    assert.equal(objects.at(-1).groups[0].decisions[0].count, COUNT);
    assert.ok(objects.every(({ time }) => /^\d{4}-.*Z$/.test(time)));
  }),
);

test(
  "ends when nobody reads it any more",
  scene(async (s) => {
    await s.listener();
    await s.sidecar();
    const watch = `'${process.execPath}' '${BIN}' status --watch --json --interval 100ms | head -n 1`;
    const dir = new TempDir();
    s.defer(() => dir[Symbol.dispose]());
    const child = new Child("bash", ["-o", "pipefail", "-c", watch], dir.file("log"));
    s.defer(() => child[Symbol.asyncDispose]());
    assert.equal(await child.exited, 0, child.output());
    assert.equal(child.output().split("\n").length, 2);
  }),
);
