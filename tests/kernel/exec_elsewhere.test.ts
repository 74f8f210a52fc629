/** exec: a server that listens elsewhere than on the SPEC, or nowhere, is said. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PYTHON } from "../helpers/host/script.ts";
import { ExecProcess, httpServer, served } from "../helpers/product/exec.ts";
import { execIn } from "../helpers/scene/exec_scene.ts";
import { scene } from "../helpers/scene/scene.ts";

/** Longer than a server of these tests takes to listen. */
const SOON = ["--start-timeout", "3s"];

describe("a server that does not listen on the SPEC", () => {
  test(
    "but on another port: that port is named, also with --restart",
    scene(async (s) => {
      const other = s.port + 10_000;
      const where = `listens on 127.0.0.1:${other}, not on ${s.spec}`;
      const server = httpServer(other, s.address);
      const once = execIn(s, SOON, server);
      const pid = await served(other);
      await once.wrote(`after 3s: node (pid ${pid}) ${where}`);
      assert.equal(await once.child.stop(), 143, once.output);
      const again = execIn(s, [...SOON, "--restart"], server);
      await again.wrote("start 1 is not ready after 3s: still waiting");
      await again.wrote(`start 1: node (pid ${await served(other)}) ${where}`);
      assert.equal(await again.child.stop(), 0, again.output);
    }),
  );

  test(
    "nor anywhere: after the time-out, and when it ends",
    scene(async (s) => {
      const waits = execIn(s, SOON, ["sleep", "600"]);
      await waits.wrote(`after 3s: the server listens on no TCP port, not on ${s.spec}`);
      await waits.child.stop();
      const ends = execIn(s, [], ["sleep", "0.3"]);
      assert.equal(await ends.child.exited, 0);
      assert.match(
        ends.output,
        new RegExp(`warn +the server has ended, and did not listen on ${s.spec}\n`),
      );
    }),
  );
});

test(
  "nothing is said of a server that does listen, however short",
  scene(async (s) => {
    const script = `import socket
l = socket.socket(); l.bind(("127.0.0.1", ${s.port})); l.listen(5)`;
    const short = execIn(s, [], [PYTHON, "-c", script]);
    assert.equal(await short.child.exited, 0);
    assert.doesNotMatch(short.output, /not on|did not listen/);
    const long = execIn(s, SOON, httpServer(s.port, s.address));
    const pid = await served(s.port);
    // Once this later one is late, the first had its time too.
    const late = new ExecProcess([`:${s.port + 10_000}`, ...SOON], ["sleep", "600"]);
    s.defer(() => late[Symbol.asyncDispose]());
    await late.wrote("after 3s: the server listens on no TCP port");
    process.kill(pid, "SIGKILL");
    assert.equal(await long.child.exited, 137);
    assert.doesNotMatch(long.output, /not on|did not listen/);
  }),
);
