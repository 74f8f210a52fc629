/** The port of /metrics is taken: that is no reason not to attach, and hides no other mistake. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { describe, test } from "node:test";
import { runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

/** Listens on a port of 127.0.0.1 until the end of the scene. */
async function listening(s: Scene): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer().listen(0, "127.0.0.1");
  s.defer(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  return { server, port: (server.address() as { port: number }).port };
}

async function attach(s: Scene, ...args: string[]): Promise<SidecarProcess> {
  const sidecar = await SidecarProcess.attach(...args);
  s.defer(() => sidecar[Symbol.asyncDispose]());
  return sidecar;
}

describe("a port of /metrics that is taken", () => {
  test(
    "by another sidecar: both work, and the log names it and its groups; later it is served",
    scene(async (s) => {
      const { server, port } = await listening(s);
      await new Promise((resolve) => server.close(resolve));
      const metrics = ["--metrics", String(port)];
      await s.listener();
      const first = await attach(s, s.spec, ...metrics);
      const other = s.port + 10_000;
      await s.listener({ port: other });
      const second = await attach(s, `:${other}`, ...metrics);
      assert.match(second.output(), /^READY groups=1 listeners=1 metrics=taken$/m);
      assert.equal(groupOf(other).sidecar, second.pid);
      const who = `127.0.0.1:${port} \\(EADDRINUSE\\).*; reuseport-migra \\(pid ${first.pid}, the sidecar of ${s.spec}\\) has it; trying again`;
      assert.match(second.output(), new RegExp(who));
      await first.kill();
      await until("the second serves it", () => /metrics_served|is free/.test(second.output()));
      assert.equal((await fetch(`http://127.0.0.1:${port}/metrics`)).status, 200);
    }),
  );

  test(
    "by another program: the log names it",
    scene(async (s) => {
      const { port } = await listening(s);
      await s.listener();
      const sidecar = await attach(s, s.spec, "--metrics", String(port));
      assert.match(sidecar.output(), new RegExp(`; node \\(pid ${process.pid}\\) has it`));
      assert.equal(groupOf(s.port).sidecar, sidecar.pid);
    }),
  );

  test(
    "the SPEC and conflicts are checked first",
    scene(async (s) => {
      const { port } = await listening(s);
      const metrics = ["--metrics", String(port)];
      const nothing = await runCli(["attach", s.spec, ...metrics]);
      assert.equal(nothing.code, 4);
      assert.match(nothing.stderr, /nothing listens on that port/);
      const plain = await s.process();
      await plain.open({ address: s.address, port: s.port, reuseport: false });
      const lacking = await runCli(["attach", s.spec, ...metrics]);
      assert.equal(lacking.code, 4);
      assert.match(lacking.stderr, /does not set SO_REUSEPORT/);
      const bpffs = await runCli(["attach", s.spec, "--bpffs", "/nosuch", ...metrics]);
      assert.equal(bpffs.code, 2);
      assert.match(bpffs.stderr, /no such directory/);
      await plain.kill();

      await s.listener();
      await s.sidecar();
      const managed = await runCli(["attach", s.spec, ...metrics]);
      assert.equal(managed.code, 7);
      assert.match(
        managed.stderr,
        new RegExp(`another reuseport-migrate \\(pid ${process.pid}\\)`),
      );
      for (const { stderr } of [nothing, lacking, bpffs, managed]) {
        assert.doesNotMatch(stderr, /metrics/);
      }
    }),
  );
});
