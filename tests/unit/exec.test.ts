/** What exec's command line says, as far as that needs no kernel. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { elsewhere } from "../../cli/exec/elsewhere.ts";
import { duration, durationText } from "../../cli/options/values.ts";
import { endingText, exitCodeOf } from "../../cli/process/child.ts";
import { exitCode } from "../../cli/process/exit.ts";
import { requireCommand } from "../../cli/process/spec_command.ts";
import type { Listener } from "../../loader/core/listener.ts";
import { parseSpec } from "../../loader/core/spec.ts";
import { TempDir } from "../helpers/host/child.ts";

describe("a duration", () => {
  for (const [text, ms] of [
    ["250ms", 250],
    ["10s", 10_000],
    ["1.5s", 1_500],
    ["0.25s", 250],
    ["2m", 120_000],
    ["1h", 3_600_000],
    ["0s", 0],
    ["0", 0],
  ] as const) {
    test(`${text} is ${ms} ms`, () => assert.equal(duration("x", text, 0, 3_600_000), ms));
  }

  for (const text of ["", "10", "s", "-1s", "1 s", "1s500ms", "1e3s", ".5s", "1d", "1S", "61m"]) {
    test(`'${text}' is refused`, () => {
      const says = /^UsageError: --hold must be a duration from 0 to 1h, such as .*, not '.*'$/;
      assert.throws(() => duration("--hold", text, 0, 3_600_000), says);
    });
  }

  test("is refused below its bound", () => {
    assert.throws(() => duration("x", "99ms", 100, 1_000), /from 100ms to 1s/);
    assert.throws(() => duration("x", "0", 100, 1_000), /from 100ms to 1s/);
  });

  test("is written in its largest whole unit", () => {
    const texts = [0, 1, 1_500, 2_000, 90_000, 120_000, 3_600_000].map(durationText);
    assert.deepEqual(texts, ["0", "1ms", "1500ms", "2s", "90s", "2m", "1h"]);
  });
});

describe("the command", () => {
  function codeFor(name: string, path?: string): number {
    try {
      requireCommand(name, path);
      return 0;
    } catch (error) {
      return exitCode(error);
    }
  }

  test("is looked for as execvp(3) does, with the exit codes of env(1)", () => {
    using dir = new TempDir();
    for (const name of ["first", "second", "first/sub"]) mkdirSync(dir.file(name));
    for (const name of ["first/plain", "first/both", "second/both", "second/tool"]) {
      writeFileSync(dir.file(name), "#!/bin/sh\n");
    }
    chmodSync(dir.file("second/both"), 0o755);
    chmodSync(dir.file("second/tool"), 0o755);
    const path = `${dir.file("first")}:${dir.file("second")}`;
    assert.equal(codeFor("tool", path), 0);
    assert.equal(codeFor("both", path), 0);
    assert.equal(codeFor("plain", path), 126);
    assert.equal(codeFor("sub", path), 126);
    assert.equal(codeFor("missing", path), 127);
    assert.equal(codeFor(dir.file("second/tool"), path), 0);
    assert.equal(codeFor(dir.file("first/plain"), path), 126);
    assert.equal(codeFor(dir.file("nothing"), path), 127);
    assert.equal(codeFor("sh"), 0);
  });
});

test("how the server ended is how exec does: its code, or 128 and the signal", () => {
  assert.equal(exitCodeOf({ code: 7, signal: null }), 7);
  assert.equal(exitCodeOf({ code: null, signal: "SIGKILL" }), 137);
  assert.equal(endingText({ code: 7, signal: null }), "with code 7");
  assert.equal(endingText({ code: null, signal: "SIGKILL" }), "by SIGKILL");
});

describe("where a server listens", () => {
  const on = (address: string, port: number) =>
    ({
      key: { family: "ipv4", address, port },
      owners: [{ pid: 7, fd: 3, comm: "node", startMs: 0 }],
    }) as unknown as Listener;
  const specs = [parseSpec("127.0.0.1:80"), parseSpec(":443")];

  test("is not said of one that listens on a SPEC", () => {
    assert.equal(elsewhere(specs, [on("127.0.0.2", 80), on("127.0.0.2", 443)]), null);
  });

  test("is said with every address, once, or that there is none", () => {
    const all = [on("127.0.0.2", 80), on("127.0.0.2", 80), on("0.0.0.0", 81)];
    const wanted = "not on 127.0.0.1:80, :443";
    assert.equal(
      elsewhere(specs, all),
      `node (pid 7) listens on 127.0.0.2:80, 0.0.0.0:81, ${wanted}`,
    );
    assert.equal(elsewhere(specs, []), `the server listens on no TCP port, ${wanted}`);
  });
});
