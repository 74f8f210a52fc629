/**
 * Whatever a source opens has an owner on the same line, or on the next one: so nothing stays open
 * if a later step throws. loader/owned.ts is the usual one.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** Calls whose result has to be closed. */
const OPENERS = [
  "openSync|obtain|accept|epoll_create1|openTcp|openSocket|openOwnDirectory|socketpair",
  "openOrRefuse|openNetns|openNetnsOf|openNetnsOfOrNull|openPins|makeUnpinned|takeLock|listenOn|startHelper|takeBack|watchBinds",
  "libc\\.(?:socket|duplicate|pidfd_open|pidfd_getfd)",
  "bpf\\.(?:bpf_map_create|bpf_iter_create|ring_buffer__new)",
  "(?:\\w|\\.#)+\\.(?:attachCgroup|attachIterator|createIterator|moveEvents\\.listen)",
  "new (?:BpfMap|BpfObject|BpfLink|RingBuffer|Mapping|Lock|LockFile|Observer|BindEvents|Waker)",
  "new (?:StatusReader|KernelCounts|Group|Adoption|StandbySocket|StorePath|StoreServer)",
  "new (?:StandbyBinds|GroupInstance|ServerSession|ProcessList|HelperProcess)",
  "BpfMap\\.create|Group\\.(?:open|openOrNull|create|load)|Adoption\\.open|takeOnGroup|openExisting|openDirectory",
  "StandbySocket\\.open|LockFile\\.take|StorePath\\.listen|FdStore\\.connect|Lab\\.start",
];
const OPENS = new RegExp(`(?<![\\w.#])(?:${OPENERS.join("|")})\\(`);
/** Comments, prototypes and heads of functions. */
const NO_CALL = /^\s*(?:\*|\/[*/]|(?:export )?(?:async )?function|static|#\w+\()|lib\.func\(/;
/** In front of such a call: its owner (perhaps the only one of the process), or that the caller is. */
const OWNED =
  /^\s*(?:keeper|helper|program) (?:\?\?)?= |\b(?:own|opened)\.(?:use|fd)\(|\busing \w+ =|\breturn\b|=>|close(?:Sync)?\(|#\w+(?:: \w+)? (?:\?\?)?= |\.(?:set|useMap)\(/;
/** The next line takes it over. */
const TAKES_OVER = /\bown\.|this\.#\w+ = |\bundo\(|\breturn\b|\btry \{|\.set\(|#welcome\(/;

interface Calls {
  readonly all: number;
  readonly withoutOwner: readonly string[];
}

function callsIn(text: string): Calls {
  const lines = text.split("\n");
  const withoutOwner: string[] = [];
  let all = 0;
  for (const [i, line] of lines.entries()) {
    const found = NO_CALL.test(line) ? null : OPENS.exec(line);
    if (!found) continue;
    all++;
    const isOwned = OWNED.test(line.slice(0, found.index + 1));
    if (!isOwned && !TAKES_OVER.test(lines[i + 1] ?? "")) withoutOwner.push(line.trim());
  }
  return { all, withoutOwner };
}

test("every source has an owner for what it opens", () => {
  let calls = 0;
  for (const tree of ["loader", "cli"]) {
    const names = readdirSync(join(root, tree), { recursive: true, encoding: "utf8" });
    for (const name of names.filter((it) => it.endsWith(".ts"))) {
      const { all, withoutOwner } = callsIn(readFileSync(join(root, tree, name), "utf8"));
      calls += all;
      assert.deepEqual(withoutOwner, [], `${tree}/${name}`);
    }
  }
  assert.ok(calls > 90, `the test found ${calls} calls only`);
});

test("this test finds calls without an owner", () => {
  const { all, withoutOwner } = callsIn(`
    maps[map] = new BpfMap(obtain(path(map)));
    const fd = openSync(path, "r");
    const found = fstatSync(fd);
    const target = openNetns(inode);
    const own = new Owned();
    using observer = new Observer();
    const pinned = own.fd(obtain(path));
  `);
  assert.equal(all, 5);
  assert.equal(withoutOwner.length, 3);
});
