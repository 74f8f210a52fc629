/**
 * Each command works with exactly the capabilities of docs/SECURITY.md; without one of them it says
 * which, and pins nothing. Each capability is one that the kernel requires.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { Child, TempDir } from "../helpers/host/child.ts";
import { pins } from "../helpers/host/fds.ts";
import { AS_NOBODY } from "../helpers/hostile/nobody.ts";
import { BIN, type Run, runCli } from "../helpers/product/cli.ts";
import {
  COMMAND_RIGHTS,
  OPTIONAL,
  REQUIRED,
  rightsOf,
  withCapabilities,
} from "../helpers/product/rights.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { StoreProcess } from "../helpers/product/store.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

const SIX: readonly string[] = [...REQUIRED, ...OPTIONAL];
const ALL = [...SIX, "CAP_KILL", "CAP_SYS_ADMIN"];

/** What the kernel requires for each call of rights_main.ts. */
const CALLS: Readonly<Record<string, readonly string[]>> = {
  "read listeners": ["CAP_BPF", "CAP_PERFMON"],
  "load the program of a group": ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"],
  "load the programs of an adoption": ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"],
  "borrow a descriptor": ["CAP_SYS_PTRACE"],
  "listen on port 81": ["CAP_NET_BIND_SERVICE"],
  "give a socket to another user": ["CAP_CHOWN"],
  "signal a process of another user": ["CAP_KILL"],
  "enter a network namespace": ["CAP_SYS_ADMIN"],
};

test(
  "the kernel requires each capability for what the document says",
  scene(async (s) => {
    const [command = "", ...args] = [...AS_NOBODY, "sleep", "600"];
    const sleeper = spawn(command, args, { stdio: "ignore" });
    s.defer(() => sleeper.kill("SIGKILL"));
    const main = fileURLToPath(new URL("./rights_main.js", import.meta.url));
    const permitted = (have: readonly string[]): string[] => {
      const [name = "", ...rest] = withCapabilities(have);
      const line = [...rest, process.execPath, main, String(sleeper.pid)];
      const { stdout, stderr, status } = spawnSync(name, line, { encoding: "utf8" });
      assert.equal(status, 0, stderr);
      return JSON.parse(stdout);
    };
    assert.deepEqual(permitted(ALL), Object.keys(CALLS));
    for (const missing of ALL) {
      // CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON.
      const have = ALL.filter((it) => it !== missing && it !== "CAP_SYS_ADMIN");
      const expected = Object.keys(CALLS).filter((it) =>
        CALLS[it]?.every((needed) => have.includes(needed)),
      );
      assert.deepEqual(permitted(have), expected, `without ${missing}`);
    }
  }),
);

/** How a command is run in a scene whose port has a listener; `prepare` has all rights. */
interface Trial {
  readonly args: (s: Scene) => readonly string[] | Promise<readonly string[]>;
  readonly prepare?: (s: Scene) => Promise<unknown>;
}

async function done(...args: string[]): Promise<void> {
  const run = await runCli(args);
  assert.equal(run.code, 0, run.stderr);
}

const attach = (s: Scene) => done("attach", s.spec, "--once");

/** Begins a hold, which ends with the scene. */
async function holds(s: Scene): Promise<void> {
  const server = await s.process();
  const listener = await s.listener({ address: "127.0.0.9" }, server);
  const sidecar = await SidecarProcess.attach(`127.0.0.9:${s.port}`, "--hold", "60s");
  s.defer(() => sidecar[Symbol.asyncDispose]());
  await listener.close();
  await until("the hold has begun", () => groupOf(s.port).hold?.holding === true);
}

const TRIALS: Readonly<Record<string, Trial>> = {
  attach: { args: (s) => ["attach", s.spec, "--once"] },
  exec: { args: (s) => ["exec", `127.0.0.7:${s.port}`, "--", "true"] },
  policy: { prepare: attach, args: (s) => ["policy", s.spec, "--migrate", "any"] },
  drain: { prepare: attach, args: (s) => ["drain", s.spec, "--generation", "1", "--force"] },
  undrain: {
    prepare: async (s) => {
      await attach(s);
      await done("drain", s.spec, "--generation", "1", "--force");
    },
    args: (s) => ["undrain", s.spec],
  },
  release: { prepare: holds, args: (s) => ["release", `127.0.0.9:${s.port}`] },
  detach: { prepare: attach, args: (s) => ["detach", s.spec] },
  status: { prepare: attach, args: (s) => ["status", s.spec] },
  events: { prepare: attach, args: () => ["events"] },
  "status --watch": { prepare: attach, args: () => ["status", "--watch"] },
  metrics: { prepare: attach, args: () => ["metrics"] },
  run: { prepare: attach, args: (s) => ["run", s.spec, "--settle", "0", "--", "true"] },
  "attach --print-config": { args: (s) => ["attach", s.spec, "--print-config"] },
};

/** Runs a command to its end; one that watches until it has written. */
async function run(args: readonly string[], under: readonly string[]): Promise<Run> {
  if (!args.includes("--watch")) return runCli(args, under);
  using dir = new TempDir();
  const [command = "", ...rest] = [...under, process.execPath, BIN, ...args];
  await using child = new Child(command, rest, dir.file("log"));
  await until(
    "it has read, or ended",
    () => !child.running || child.output().includes("127.0.0.1"),
  );
  const code = Number(await child.stop("SIGTERM"));
  return { code, stdout: child.output(), stderr: child.output() };
}

describe("a command with exactly its capabilities", () => {
  for (const [name, { args, prepare }] of Object.entries(TRIALS)) {
    const rights = rightsOf(name);
    test(
      `${name}: works with ${rights.join(", ") || "none"}; without any of them it says which`,
      scene(async (s) => {
        await s.listener();
        s.defer(() => runCli(["detach", "--all"]));
        await prepare?.(s);
        const line = await args(s);
        const before = pins(BPFFS);
        for (const missing of rights) {
          const { code, stderr } = await run(
            line,
            withCapabilities(rights.filter((it) => it !== missing)),
          );
          assert.equal(code, 5, `without ${missing}: ${stderr}`);
          const [sentence = "", ...more] = stderr.trim().split("\n");
          assert.match(
            sentence,
            new RegExp(`this root process lacks ${missing} \\(to .*\\): grant what is missing`),
          );
          assert.deepEqual(more, []);
          assert.deepEqual(pins(BPFFS), before, `without ${missing}: something is pinned`);
        }
        const { code, stderr } = await run(line, withCapabilities(rights));
        assert.equal(code, 0, stderr);
      }),
    );
  }

  test("every command of the document is run", () => {
    const others = [
      "check",
      "completion",
      "systemd-dropin",
      ...Object.keys(COMMAND_RIGHTS).filter((it) => /^store/.test(it)),
    ];
    assert.deepEqual(
      [...Object.keys(TRIALS), ...others].sort(),
      Object.keys(COMMAND_RIGHTS).sort(),
    );
  });

  test(
    "attach --adopt, and the end of an adoption",
    scene(async (s) => {
      const { path } = new TestCgroup(s, "app").create();
      const command = ["attach", s.spec, "--adopt", "--cgroup", path, "--once"];
      for (const args of [command, ["detach", "--all"]]) {
        const { code, stderr } = await run(args, withCapabilities(rightsOf(args[0] ?? "")));
        assert.equal(code, 0, stderr);
      }
    }),
  );

  test(
    "check says which are missing, and what for",
    scene(async (s) => {
      await s.listener();
      for (const missing of SIX) {
        const have = SIX.filter((it) => it !== missing);
        const { code, stdout } = await run(["check", s.spec], withCapabilities(have));
        const isRequired = (REQUIRED as readonly string[]).includes(missing);
        assert.equal(code, isRequired ? 1 : 0, stdout);
        assert.match(
          stdout,
          new RegExp(`^  (no|warn) +${missing}: this root process lacks it`, "m"),
        );
      }
      const { code, stdout } = await run(["check", s.spec], withCapabilities(SIX));
      assert.equal(code, 0, stdout);
    }),
  );

  test("the store and its clients work with none", async () => {
    const none = withCapabilities([]);
    await using store = await StoreProcess.start([], { under: none });
    const withFd = ["sh", "-c", 'exec 3>/dev/null; exec "$@"', "sh"];
    const put = ["put", "--name", "web", "3"];
    const exec = ["exec", "--name", "tcp", "--tcp", "127.0.0.1:20099", "--", "true"];
    for (const [verb = "", ...rest] of [
      put,
      ["list"],
      ["take", "--name", "web", "--", "true"],
      put,
      ["drop", "web"],
      exec,
    ]) {
      const args = ["store", verb, "--store", store.path, ...rest];
      const { code, stderr } = await run(args, [...none, ...withFd]);
      assert.equal(code, 0, `${verb}: ${stderr}`);
    }
    const low = ["--store", store.path, "--name", "low", "--tcp", "127.0.0.1:99", "--", "true"];
    const { code, stderr } = await run(["store", "exec", ...low], none);
    assert.equal(code, 5, stderr);
    assert.match(stderr, /CAP_NET_BIND_SERVICE/);
  });

  test(
    "as another user",
    scene(async (s) => {
      await s.listener();
      // The checkout may be one that only root can read; this capability is of no other use here.
      const read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
      const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...read];
      const { code, stderr } = await runCli(["attach", s.spec, "--once"], nobody);
      assert.equal(code, 5, stderr);
      assert.match(stderr, /not root\) lacks CAP_NET_ADMIN/);
    }),
  );
});
