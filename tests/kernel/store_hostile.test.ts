/** Clients that mean no good: each is closed by itself, and everybody else is served. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { StoreProcess } from "../helpers/product/store.ts";
import { until } from "../helpers/until.ts";

const SCRIPT = fileURLToPath(new URL("../../../tests/kernel/store_hostile.py", import.meta.url));
/** The system's, as everywhere in these tests. */
const PYTHON = "/usr/bin/python3";

/** What the store answered to a hostile client; null: it closed the connection. */
function attack(path: string, what: string): unknown[] {
  const { stdout, stderr, status } = spawnSync(PYTHON, [SCRIPT, path, what], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const refusal = (reason: string, says: RegExp) => (reply: unknown) => {
  const { ok, reason: given, error } = reply as Record<string, unknown>;
  assert.deepEqual([ok, given], [false, reason]);
  assert.match(String(error), says);
};
const closed = (reply: unknown) => assert.equal(reply, null);
const equals = (value: unknown) => (reply: unknown) => assert.deepEqual(reply, value);

const ATTACKS: [what: string, replies: ((reply: unknown) => void)[]][] = [
  ["no-fds", [refusal("malformed", /put with 0 file descriptors/), closed]],
  // The kernel refuses 254 (EINVAL); 253 are fine.
  ["254-fds", [equals({ errno: 22 }), equals({ v: 1, ok: true, fds: 253 })]],
  ["fds-on-list", [refusal("malformed", /list with 200 file descriptors/), closed]],
  ["empty-with-fds", [closed]],
  ["long", [refusal("truncated", /too long/), closed]],
  ["cut", [refusal("malformed", /not JSON/), closed]],
  ["binary", [refusal("malformed", /not JSON/), closed]],
  ["version", [refusal("malformed", /version/), closed]],
  [
    "wrong-name",
    [refusal("absent", /nothing named 'nobody'/), refusal("malformed", /name/), closed],
  ],
  ["slow", [equals({ closed: true })]],
  ["itself", [refusal("malformed", /a connection to this store/), closed]],
];

test("each is closed alone, and leaves no file descriptor", { timeout: 60_000 }, async (t) => {
  await using store = await StoreProcess.start(["--timeout", "1ms", "--metrics", "0"]);
  const friend = await store.connect();
  const fd = openSync("/dev/null", "r");
  await friend.put("mine", [fd]);
  // The metrics server's connections come and go.
  await (await fetch(store.metricsUrl, { headers: { connection: "close" } })).text();
  const before = store.fdCount();
  for (const [what, replies] of ATTACKS) {
    await t.test(what, async () => {
      const got = attack(store.path, what);
      assert.equal(got.length, replies.length, JSON.stringify(got));
      for (const [i, check] of replies.entries()) check(got[i]);
      await until("nothing is left of it", () => store.fdCount() === before);
      assert.deepEqual(
        (await friend.list()).map(({ name }) => name),
        ["mine"],
      );
    });
  }
  closeSync(fd);
  const text = await (await fetch(store.metricsUrl)).text();
  const refusals = (reason: string) =>
    Number(new RegExp(`refused_total\\{reason="${reason}"\\} (\\d+)`).exec(text)?.[1]);
  assert.deepEqual(["malformed", "truncated", "slow", "absent"].map(refusals), [7, 1, 1, 1]);
});

test("another user's process is turned away, though the socket's mode lets it in", async () => {
  await using store = await StoreProcess.start(["--mode", "0666"]);
  // A temporary directory is its owner's alone.
  spawnSync("chmod", ["755", store.dir.path]);
  const got = attack(store.path, "uid");
  refusal("peer", /only processes of uid 0 and root/)(got[0]);
  assert.equal(got[1], null);
});

// Reading this tree, wherever it is, is the one right it is left.
const READ = ["--inh-caps", "-all,+dac_read_search", "--ambient-caps", "+dac_read_search"];
const NOBODY = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
for (const [who, uid, args] of [
  ["root without any capability", 0, ["--bounding-set", "-all", "--inh-caps", "-all"]],
  ["an ordinary user", 65534, [...NOBODY, ...READ, "--bounding-set", "-all,+dac_read_search"]],
] as const) {
  test(`the store runs as ${who}, and root may use it`, async () => {
    await using store = await StoreProcess.start([], { uid, under: ["setpriv", ...args] });
    const client = await store.connect();
    const fd = openSync("/dev/null", "r");
    await client.put("x", [fd]);
    closeSync(fd);
    closeSync((await client.take("x"))?.[0] ?? -1);
    await store.stop();
  });
}

test("1,000 idle clients at once keep nobody out, and nobody's deposit is lost", async () => {
  await using store = await StoreProcess.start(["--max-clients", "100"]);
  const friend = await store.connect();
  const fd = openSync("/dev/null", "r");
  await friend.put("mine", [fd]);
  const before = store.fdCount();
  const crowd = spawn(PYTHON, [SCRIPT, store.path, "crowd"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    const [line] = await once(crowd.stdout.setEncoding("utf8"), "data");
    assert.deepEqual(JSON.parse(line), { connected: 1000 });
    await until("the store has seen them", () => store.fdCount() >= before + 99);
    const late = await store.connect();
    await late.put("late", [fd]);
    assert.deepEqual(
      (await late.list()).map(({ name }) => name),
      ["late", "mine"],
    );
    assert.ok(store.fdCount() <= before + 101, "limit of clients");
    const [mine] = (await late.list()).filter(({ name }) => name === "mine");
    assert.equal(mine?.leftMs, null, "its depositor was closed");
  } finally {
    crowd.stdin.end();
    await once(crowd, "exit");
  }
  await until("they are gone", () => store.fdCount() <= before + 2);
  closeSync(fd);
});
