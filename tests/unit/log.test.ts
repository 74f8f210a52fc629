/** The log: for a person, for a program, for the journal; and the line that says READY. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { logger } from "../../cli/output/log.ts";
import { readyLine } from "../../cli/output/ready.ts";
import { TempDir } from "../helpers/host/child.ts";

const BIN = fileURLToPath(new URL("../../cli/bin.js", import.meta.url));

function logged(stderr: { isJournal?: boolean; isTTY?: boolean }, json: boolean): string[] {
  let text = "";
  const out = { ...stderr, write: (more: string) => (text += more) };
  const log = logger({ stderr: out, vars: {} }, json);
  for (const level of ["info", "warn", "error"] as const) {
    log({ level, event: "moved", text: `t\n${level}`, fields: { n: 1 } });
  }
  return text.trimEnd().split("\n");
}

test("a file gets the time and the level, a terminal colour for what is no info", () => {
  const [info = "", warn = "", error = ""] = logged({}, false);
  assert.match(info, /^\d{4}-\S+Z info {2}t\\x0ainfo$/);
  assert.match(warn, /^\d{4}-\S+Z warn {2}t/);
  assert.match(error, /^\d{4}-\S+Z error t/);
  const [calm = "", ...loud] = logged({ isTTY: true }, false);
  assert.equal(calm.includes("\x1b"), false);
  assert.ok(loud.every((line) => line.includes("\x1b[")));
});

test("the journal gets a priority instead of both; JSON keeps its fields", () => {
  assert.deepEqual(logged({ isJournal: true }, false), [
    "<6>t\\x0ainfo",
    "<4>t\\x0awarn",
    "<3>t\\x0aerror",
  ]);
  const [, warn = ""] = logged({ isJournal: true }, true);
  const { time, ...rest } = JSON.parse(warn.replace(/^<4>/, ""));
  assert.match(time, /Z$/);
  assert.deepEqual(rest, { level: "warn", event: "moved", msg: "t\\x0awarn", n: 1 });
});

test("stderr is the journal if JOURNAL_STREAM names it, and not if it names another file", () => {
  using dir = new TempDir();
  const path = dir.file("stderr");
  const lastLine = (of: (file: { dev: bigint; ino: bigint }) => string) => {
    const fd = openSync(path, "w");
    try {
      const env = { ...process.env, JOURNAL_STREAM: of(fstatSync(fd, { bigint: true })) };
      spawnSync(process.execPath, [BIN, "attach", ":0"], { stdio: ["ignore", "ignore", fd], env });
    } finally {
      closeSync(fd);
    }
    return readFileSync(path, "utf8").split("\n")[0] ?? "";
  };
  assert.match(
    lastLine(({ dev, ino }) => `${dev}:${ino}`),
    /^<3>reuseport-migrate: ':0' is not a SPEC/,
  );
  assert.match(
    lastLine(({ dev, ino }) => `${dev}:${ino + 1n}`),
    /^reuseport-migrate: /,
  );
});

test("READY is a line of words, or with --json an object", () => {
  const facts = "groups=2 listeners=10 waiting=:80,:81 metrics=http://127.0.0.1:9944/metrics";
  assert.equal(readyLine("READY", facts, false), `READY ${facts}\n`);
  assert.deepEqual(JSON.parse(readyLine("READY", facts, true)), {
    level: "info",
    event: "ready",
    msg: facts,
    groups: 2,
    listeners: 10,
    waiting: ":80,:81",
    metrics: "http://127.0.0.1:9944/metrics",
  });
});
