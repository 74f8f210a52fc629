/**
 * A local user who prepares files where the sidecar keeps its own: on a bpffs of mode 1777, which
 * is the kernel's default.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { StoreServer } from "../../loader/index.ts";
import { Child } from "../helpers/host/child.ts";
import { PYTHON } from "../helpers/host/script.ts";
import { asNobody, triedAsNobody } from "../helpers/hostile/files.ts";
import { AS_NOBODY } from "../helpers/hostile/nobody.ts";
import { tempDir } from "../helpers/net/netns.ts";
import { type Run, runCli } from "../helpers/product/cli.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";

/** A bpffs of its own; unmounted with everything in it. */
function bpffs(s: Scene, mode: string): string {
  const path = tempDir(s).path;
  chmodSync(path, 0o755);
  execFileSync("mount", ["-t", "bpf", "-o", `mode=${mode}`, "bpf", path]);
  s.defer(() => execFileSync("umount", [path]));
  return path;
}

/** Root's files, which the attacker wants removed. */
function precious(s: Scene): string {
  const path = tempDir(s).path;
  for (const name of ["a", "b"]) writeFileSync(join(path, name), "root's", { mode: 0o600 });
  return path;
}

/** Every command that takes the pin tree's lock, or reads it. */
function everyCommand(s: Scene, where: string): Promise<Run[]> {
  const at = ["--bpffs", where];
  const commands = [
    ["attach", s.spec, "--once", ...at],
    ["detach", "--all", ...at],
    ["detach", s.spec, ...at],
    ["policy", s.spec, "--route", "newest", ...at],
    ["drain", s.spec, "--generation", "1", ...at],
    ["release", s.spec, ...at],
    ["status", ...at],
  ];
  return Promise.all(commands.map((command) => runCli(command)));
}

function assertRefused(runs: readonly Run[], why: RegExp): void {
  for (const { code, stdout, stderr } of runs) {
    assert.equal(code, 7, stdout + stderr);
    assert.match(stderr, why);
    assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  }
}

describe("a bpffs of mode 1777", () => {
  test(
    "a directory of another user, with a link to root's files: no command follows it",
    scene(async (s) => {
      await s.listener();
      const [where, victim] = [bpffs(s, "1777"), precious(s)];
      const root = `${where}/reuseport-migrate`;
      asNobody(`mkdir ${root}; ln -s ${victim} ${root}/new-x`);
      assertRefused(await everyCommand(s, where), /belongs to uid 65534.*remove it/);
      assert.deepEqual(readdirSync(victim), ["a", "b"]);
      assert.deepEqual(readdirSync(root), ["new-x"], "nothing is made or removed there");
    }),
  );

  test(
    "a link in the place of the directory",
    scene(async (s) => {
      await s.listener();
      const [where, victim] = [bpffs(s, "1777"), precious(s)];
      asNobody(`ln -s ${victim} ${where}/reuseport-migrate`);
      assertRefused(await everyCommand(s, where), /is a link or a file/);
      assert.deepEqual(readdirSync(victim), ["a", "b"]);
    }),
  );

  test(
    "no other user can take the lock, nor replace the directory",
    scene(async (s) => {
      await s.listener();
      const where = bpffs(s, "1777");
      const root = `${where}/reuseport-migrate`;
      await s.sidecar({ bpffs: where });
      assert.equal(triedAsNobody(`flock -n -s ${where} true`), 0, "it can lock the bpffs itself");
      assert.notEqual(triedAsNobody(`flock -n ${root} true`), 0);
      assert.notEqual(triedAsNobody(`mv ${root} ${where}/x`), 0);
      assert.notEqual(triedAsNobody(`mkdir ${root}/new-x`), 0);
      const { code, stderr } = await runCli(["detach", s.spec, "--bpffs", where]);
      assert.equal(code, 0, stderr);
    }),
  );

  test(
    "a link that is left in our own directory is removed, and not followed",
    scene(async (s) => {
      await s.listener();
      const [where, victim] = [bpffs(s, "1777"), precious(s)];
      const root = `${where}/reuseport-migrate`;
      mkdirSync(root, { mode: 0o700 });
      execFileSync("ln", ["-s", victim, `${root}/new-x`]);
      const { code, stderr } = await runCli(["detach", "--all", "--bpffs", where]);
      assert.equal(code, 0, stderr);
      assert.deepEqual(readdirSync(victim), ["a", "b"]);
      assert.equal(readdirSync(where).includes("reuseport-migrate"), false);
    }),
  );
});

test(
  "a bpffs in which every user can rename directories is refused",
  scene(async (s) => {
    await s.listener();
    const where = bpffs(s, "0777");
    chmodSync(where, 0o777); // a mount always sets the sticky bit
    const { code, stderr } = await runCli(["attach", s.spec, "--once", "--bpffs", where]);
    assert.equal(code, 7, stderr);
    assert.match(stderr, /mode 0777, so other users can replace directories/);
    rmdirSync(`${where}/reuseport-migrate`);
  }),
);

test(
  "a directory that was opened to other users is refused",
  scene(async (s) => {
    await s.listener();
    const where = bpffs(s, "0700");
    mkdirSync(`${where}/reuseport-migrate`, { mode: 0o755 });
    assertRefused(await everyCommand(s, where), /mode 0755, so its content cannot be trusted/);
    rmdirSync(`${where}/reuseport-migrate`);
  }),
);

describe("the socket of a store", () => {
  const listen = (path: string) => runCli(["store", "--listen", path], [], 3_000);

  test(
    "is not made in a directory that other users may write to",
    scene(async (s) => {
      const directory = tempDir(s).path;
      chmodSync(directory, 0o1777);
      const { code, stderr } = await listen(`${directory}/store.sock`);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /other users may write to .*; choose a directory/);
      assert.deepEqual(readdirSync(directory), []);
    }),
  );

  test(
    "another user cannot take its lock",
    scene(async (s) => {
      const directory = tempDir(s).path;
      chmodSync(directory, 0o755); // as RuntimeDirectoryMode= of the unit
      const path = `${directory}/store.sock`;
      const server = new StoreServer({ path });
      s.defer(() => server[Symbol.dispose]());
      assert.equal(triedAsNobody(`flock -n ${directory} true`), 0, "it can lock the directory");
      assert.notEqual(triedAsNobody(`flock -n ${path}.lock true`), 0);
      const { code, stderr } = await listen(path);
      assert.equal(code, 7, stderr);
      assert.match(stderr, /another store already listens/);
    }),
  );

  test(
    "a client gives no listener to the store of another user",
    scene(async (s) => {
      const directory = tempDir(s).path;
      chmodSync(directory, 0o1777);
      const path = `${directory}/store.sock`;
      const script = `import socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.bind("${path}"); s.listen(); print("READY", flush=True); time.sleep(60)`;
      const [command = "", ...args] = [...AS_NOBODY, PYTHON, "-c", script];
      const server = new Child(command, args, tempDir(s).file("log"));
      s.defer(() => server.stop());
      await server.until("READY", () => server.output().includes("READY"));
      chmodSync(path, 0o777);
      const { code, stderr } = await runCli(["store", "list", "--store", path]);
      assert.equal(code, 5, stderr);
      assert.match(stderr, /runs as uid 65534: run as that user/);
    }),
  );
});
