/**
 * A sidecar, an exec and a store outlive their logs: a full disk, a reader that stalls or has gone,
 * a terminal that has gone. They keep working, answer, and end when they are told to.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { FdStore } from "../../loader/index.ts";
import { Child, TempDir } from "../helpers/host/child.ts";
import { pins } from "../helpers/host/fds.ts";
import { UNWRITABLE, type Unwritable, underUnwritable } from "../helpers/hostile/unwritable.ts";
import { tally } from "../helpers/load/peer.ts";
import { queued } from "../helpers/net/netstat.ts";
import { BIN, runCli } from "../helpers/product/cli.ts";
import { ExecProcess, httpServer, served } from "../helpers/product/exec.ts";
import { total } from "../helpers/product/sidecar.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { groupOf } from "../helpers/scene/status.ts";
import type { Listener } from "../helpers/servers/listener.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20;

/** A command of ours that runs until a signal, and serves /metrics; its READY line is not read. */
class Daemon {
  readonly child: Child;
  readonly #port: number;
  readonly #dir = new TempDir();

  private constructor(line: readonly string[], port: number) {
    this.child = new Child(line[0] ?? "", line.slice(1), this.#dir.file("log"));
    this.#port = port;
  }

  /** Starts it, and waits until it serves /metrics. */
  static async start(s: Scene, under: readonly string[], args: readonly string[]): Promise<Daemon> {
    const port = s.port - 15_000; // below those of other scenes, and of clients
    const line = [...under, process.execPath, BIN, ...args, "--metrics", String(port)];
    const daemon = new Daemon(line, port);
    s.defer(() => daemon.#end());
    await daemon.child.until("/metrics is served", async () => (await daemon.metrics()) !== null);
    return daemon;
  }

  async metrics(): Promise<string | null> {
    try {
      return await (await fetch(`http://127.0.0.1:${this.#port}/metrics`)).text();
    } catch {
      return null; // not served yet
    }
  }

  async dropped(): Promise<number> {
    const text = await this.metrics();
    assert.ok(text, "/metrics is not answered");
    return total(text, "reuseport_migrate_log_lines_dropped_total");
  }

  async #end(): Promise<void> {
    if (this.child.running) await this.child.stop();
    this.#dir[Symbol.dispose]();
    if (pins(BPFFS).length > 0) await runCli(["detach", "--all"]);
  }
}

/** Sees two listeners come, a queue migrate, a hold begin and be handed over. */
async function worksOn(s: Scene, old: Listener): Promise<void> {
  const { peers } = await bringTo("accept queue", COUNT, s);
  const next = await s.listener();
  await next.serve();
  await until("the new listener is a target", () =>
    groupOf(s.port).listeners.some(
      ({ cookie, slot }) => String(cookie) === next.cookie && slot !== null,
    ),
  );
  await old.process.kill();
  assert.deepEqual(await tally(peers), { [next.process.pid]: COUNT });

  await next.process.kill();
  await until("it is held", () => groupOf(s.port).hold?.holding === true);
  const held = await s.peers(COUNT);
  await until("clients wait", () => queued(s.port) === COUNT);
  const last = await s.listener();
  await last.serve();
  assert.deepEqual(await tally(held), { [last.process.pid]: COUNT });
}

describe("attach", () => {
  for (const kind of UNWRITABLE) {
    test(
      `${kind}: listeners come, migrate and are held; /metrics and SIGTERM are answered`,
      scene(async (s) => {
        const old = await s.listener();
        const args = ["attach", s.spec, "--hold", "60s", "--json"];
        const daemon = await startUnder(s, kind, args);
        await worksOn(s, old);
        const { child } = daemon;
        if (kind === "stalled") assert.equal(await daemon.dropped(), 0);
        else assert.ok((await daemon.dropped()) > 0);
        assert.equal(await child.stop(), 0);
        assert.deepEqual(pins(BPFFS), []);
      }),
    );
  }

  test(
    "a disk that was full: the log goes on, and says how much is missing",
    scene(async (s) => {
      const dir = new TempDir();
      s.defer(() => dir[Symbol.dispose]());
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", dir.path]);
      s.defer(() => execFileSync("umount", ["-l", dir.path]));
      const [log, filler] = [join(dir.path, "log"), join(dir.path, "filler")];
      writeFileSync(log, "");
      fill(filler);
      const old = await s.listener();
      const under = ["sh", "-c", `exec "$@" >>${log} 2>&1`, "sh"];
      const daemon = await Daemon.start(s, under, ["attach", s.spec, "--hold", "60s"]);
      await worksOn(s, old);
      assert.ok((await daemon.dropped()) > 0);
      assert.equal(readFileSync(log, "utf8"), "");
      rmSync(filler);
      await s.listener();
      const missing = /warn +\d+ lines of this log could not be written: no space left on device/;
      for (const line of [/listener of/, missing]) {
        await until("it logs again", () => line.test(readFileSync(log, "utf8")));
      }
      assert.equal(await daemon.child.stop(), 0);
    }),
  );
});

function fill(path: string): void {
  try {
    writeFileSync(path, Buffer.alloc(1 << 20));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
  }
}

function startUnder(s: Scene, kind: Unwritable, args: readonly string[]): Promise<Daemon> {
  return Daemon.start(s, underUnwritable(kind), args);
}

describe("exec --restart", () => {
  for (const kind of UNWRITABLE) {
    test(
      `${kind}: the server is restarted after a crash, and stopped`,
      scene(async (s) => {
        const quiet = [
          "sh",
          "-c",
          'exec "$@" >/dev/null 2>&1',
          "sh",
          ...httpServer(s.port, s.address),
        ];
        const args = [s.spec, "--restart", "--verbose"];
        const exec = new ExecProcess(args, quiet, underUnwritable(kind));
        s.defer(() => exec[Symbol.asyncDispose]());
        const first = await served(s.port);
        process.kill(first, "SIGKILL");
        const second = await served(s.port, first);
        exec.child.kill("SIGHUP");
        await served(s.port, second);
        assert.equal(await exec.child.stop(), 0);
        assert.deepEqual(pins(BPFFS), []);
      }),
    );
  }
});

describe("store", () => {
  for (const kind of UNWRITABLE) {
    test(
      `${kind}: keeps descriptors, and ends`,
      scene(async (s) => {
        using dir = new TempDir();
        const path = dir.file("store.sock");
        const { child } = await startUnder(s, kind, ["store", "--listen", path]);
        using store = await FdStore.connect(path);
        const fd = await store.listen("web", s.spec);
        assert.ok(fd > 0);
        assert.equal((await store.list()).length, 1);
        assert.equal(await child.stop(), 0);
      }),
    );
  }
});
