/** The store's commands, as a shell uses them. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parseSpec } from "../../loader/index.ts";
import { listenOn } from "../../loader/store/client_listen.ts";
import * as libc from "../../loader/sys/libc.ts";
import { outcomes, queueUp } from "../helpers/load/queue.ts";
import { runCli } from "../helpers/product/cli.ts";
import { StoreProcess } from "../helpers/product/store.ts";
import { until } from "../helpers/until.ts";

const BIN = fileURLToPath(new URL("../../cli/bin.js", import.meta.url));
const PORT = 18350;

let store: StoreProcess;
before(async () => {
  store = await StoreProcess.start();
});
after(() => store[Symbol.asyncDispose]());

/** A line of shell, in which `$M` is the command. */
async function shell(line: string): Promise<string> {
  const env = { ...process.env, M: `${process.execPath} ${BIN} store`, S: store.path };
  const { stdout } = await promisify(execFile)("/bin/sh", ["-c", line], { env });
  return stdout;
}

const cli = (verb: string, ...args: string[]) =>
  runCli(["store", verb, "--store", store.path, ...args]);

test("put, list, take and drop", async () => {
  writeFileSync(store.dir.file("hello"), "hello\n");
  const file = store.dir.file("hello");
  assert.equal(
    await shell(`$M put --store $S --name greet --timeout 1m 3 4 3<${file} 4</dev/null`),
    "put 2 as greet\n",
  );
  const list = await cli("list");
  assert.match(list.stdout, /^name +type +address +queue +age +time left +held by$/m);
  assert.match(
    list.stdout,
    new RegExp(`^greet +file +${file} +- +\\d+\\.\\ds +5\\d\\.\\ds +-$`, "m"),
  );
  assert.match(list.stdout, /^ +device +\/dev\/null /m);
  const { names } = JSON.parse((await cli("list", "--json")).stdout);
  assert.equal(names[0].timeout_ms, 60_000);
  assert.ok(names[0].left_ms > 50_000 && names[0].left_ms <= 60_000);
  assert.deepEqual(names[0].fds[0], { type: "file", listening: false, address: file, queue: null });

  // As systemd passes them: from 3 on, named, for the pid of the command itself.
  const says = "cat <&3; echo $LISTEN_FDS $LISTEN_FDNAMES; [ $LISTEN_PID = $$ ] && echo mine";
  const took = await shell(`$M take --store $S --name greet -- sh -c '${says}'`);
  assert.equal(took, "hello\n2 greet:greet\nmine\n");
  assert.equal((await cli("list")).stdout, "the store is empty\n");
  const again = await cli("take", "--name", "greet", "--", "true");
  assert.deepEqual(
    [again.code, again.stderr],
    [4, "reuseport-migrate: the store has no 'greet'\n"],
  );

  await shell(`$M put --store $S --name x 3 3</dev/null`);
  assert.equal((await cli("drop", "x", "--json")).stdout, '{"dropped":[{"name":"x","fds":1}]}\n');
  assert.equal((await cli("drop", "x")).code, 4);
});

test("take of several names is all or nothing", async () => {
  await shell(`$M put --store $S --name one 3 3</dev/null`);
  const run = await cli("take", "--name", "one,two", "--", "true");
  assert.equal(run.code, 4);
  const client = await store.connect();
  assert.deepEqual(
    (await client.list()).map(({ name }) => name),
    ["one"],
  );
  await client.drop("one");
});

test("exec's exit code is the command's; what it needs and cannot have is said", async () => {
  const tcp = ["--name", "web", "--tcp", `127.0.0.1:${PORT}`];
  assert.equal((await cli("exec", ...tcp, "--", "sh", "-c", "exit 7")).code, 7);
  assert.equal((await cli("exec", "--name", "web", "--", "sh", "-c", "kill -9 $$")).code, 137);
  assert.equal((await cli("exec", "--name", "web", "--", "/no/such")).code, 127);
  const lacks = await cli("exec", "--name", "other", "--", "true");
  assert.equal(lacks.code, 4);
  assert.match(lacks.stderr, /no 'other': put it there, or give its address with --tcp/);
  await (await store.connect()).drop("web");
  const fd = listenOn(parseSpec(`127.0.0.1:${PORT}`));
  const taken = await cli("exec", ...tcp, "--", "true");
  libc.close(fd);
  assert.deepEqual([taken.code, /EADDRINUSE/.test(taken.stderr)], [7, true]);
  const gone = await runCli(["store", "list", "--store", `${store.path}.none`]);
  assert.deepEqual([gone.code, /no store listens on/.test(gone.stderr)], [4, true]);
});

test("two exec of one name do not share it: the second is refused, the first serves on", async () => {
  const first = store.spawn(
    "exec",
    "--name",
    "web",
    "--tcp",
    `127.0.0.1:${PORT + 1}`,
    "--",
    "sleep",
    "60",
  );
  const client = await store.connect();
  await until("it holds it", async () => (await client.list()).length === 1);
  const second = await cli("exec", "--name", "web", "--", "true");
  assert.deepEqual(
    [second.code, /'web' is taken by another process/.test(second.stderr)],
    [7, true],
  );
  assert.ok(first.running);
  await first.stop("SIGTERM");
  await client.drop("web");
});

test("what is dropped is the server's alone: its close frees the port, exec and library keep none", async () => {
  const port = PORT + 2;
  // It closes its listener and lives on.
  const script = "exec 3<&-; echo closed; sleep 60";
  const exec = store.spawn(
    "exec",
    "--name",
    "web",
    "--tcp",
    `127.0.0.1:${port}`,
    "--",
    "sh",
    "-c",
    script,
  );
  await exec.until("it has closed its own", () => exec.output().includes("closed"));
  const waiting = await queueUp(port, 3, "kept"); // the store's is still there
  const client = await store.connect();
  await client.drop("web");
  assert.deepEqual(await outcomes(waiting), { ECONNRESET: 3 });
  await exec.stop("SIGTERM");
  assert.match(exec.output(), /'web' was dropped from the store/);
});

test("a depositor that adds its socket again does not add a second", async () => {
  const client = await store.connect();
  const other = await store.connect();
  const fd = listenOn(parseSpec(`127.0.0.1:${PORT + 3}`));
  const file = openSync("/dev/null", "r");
  await client.put("set", [fd], { add: true });
  await other.put("set", [fd, file], { add: true });
  const [set] = await client.list();
  assert.deepEqual(
    set?.fds.map(({ type }) => type),
    ["tcp", "device"],
  );
  assert.equal(set?.holders.length, 2);
  await client.drop("set");
  libc.close(fd);
  closeSync(file);
});

test("put takes what the shell opened, and none of Node's", async () => {
  const file = store.dir.file("own");
  writeFileSync(file, "");
  // Numbers among and beyond those that Node gets.
  const opened = [3, 7, 12, 30, 40];
  const open = opened.map((fd) => `exec ${fd}<"${file}"`).join("; ");
  const bash = (line: string) =>
    promisify(execFile)("bash", ["-c", line], {
      env: { ...process.env, M: `${process.execPath} ${BIN} store`, S: store.path },
    });
  const all = await bash(`${open}; $M put --store $S --name own ${opened.join(" ")}`);
  assert.equal(all.stdout, "put 5 as own\n");
  await cli("drop", "own");
  const others = Array.from({ length: 22 }, (_, fd) => fd + 3).filter((fd) => !opened.includes(fd));
  const tries = others.map((fd) => `$M put --store $S --name not ${fd} 2>&1 && echo TOOK ${fd}`);
  for (let at = 0; at < tries.length; at += 10) {
    const { stdout } = await bash(`${open}; ${tries.slice(at, at + 10).join("; ")}; true`);
    assert.doesNotMatch(stdout, /TOOK/);
    assert.equal(
      stdout.match(/is not open: open it in the shell/g)?.length,
      Math.min(10, tries.length - at),
    );
  }
  assert.equal((await cli("list")).stdout, "the store is empty\n");

  const pipe = "$M put --store $S --name in 5 5<&0";
  assert.equal((await bash(`echo hi | ${pipe}`)).stdout, "put 1 as in\n");
  assert.equal(await shell("$M take --store $S --name in -- sh -c 'cat <&3'"), "hi\n");
});
