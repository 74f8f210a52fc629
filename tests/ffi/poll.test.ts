/** koffi's undocumented poll API, as loader/sys/readable.ts uses it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { notifyService } from "../../loader/host/sd_notify.ts";
import * as libc from "../../loader/sys/libc.ts";
import { onReadable } from "../../loader/sys/readable.ts";

test("readiness arrives on Node's event loop, and no longer after it was stopped", async () => {
  const directory = mkdtempSync(join(tmpdir(), "rm-poll-"));
  const path = join(directory, "socket");
  const address = Buffer.concat([Buffer.of(libc.AF_UNIX, 0), Buffer.from(`${path}\0`)]);
  const fd = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM | libc.SOCK_CLOEXEC, 0);
  libc.bind(fd, address);
  const received: string[] = [];
  const stop = onReadable(fd, () => {
    const data = Buffer.alloc(100);
    received.push(data.toString("utf8", 0, readSync(fd, data)));
  });
  const alive = setInterval(() => {}, 1000); // the watch itself keeps nothing alive
  notifyService("READY=1", path);
  while (received.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
  stop();
  notifyService("STOPPING=1", path);
  await new Promise((resolve) => setTimeout(resolve, 50));
  clearInterval(alive);
  libc.close(fd);
  rmSync(directory, { recursive: true });
  assert.deepEqual(received, ["READY=1"]);
});

test("readiness that lasts is reported again after a pause, and no longer once stopped", async () => {
  const directory = mkdtempSync(join(tmpdir(), "rm-poll-"));
  const path = join(directory, "socket");
  const address = Buffer.concat([Buffer.of(libc.AF_UNIX, 0), Buffer.from(`${path}\0`)]);
  const fd = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM | libc.SOCK_CLOEXEC, 0);
  libc.bind(fd, address);
  notifyService("READY=1", path); // and is never read
  const counts = { paused: 0, plain: 0 };
  const other = libc.duplicate(fd); // as libuv watches a descriptor once
  const stops = [
    onReadable(fd, () => counts.paused++, 20),
    onReadable(other, () => counts.plain++),
  ];
  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  while (counts.paused < 5) await sleep(5);
  assert.ok(counts.plain > 10 * counts.paused, JSON.stringify(counts));
  for (const stop of stops) stop(); // in a pause
  const { paused } = counts;
  await sleep(60);
  for (const each of [fd, other]) libc.close(each);
  rmSync(directory, { recursive: true });
  assert.equal(counts.paused, paused);
});

test("an error of the callback ends the process, instead of the watch without a word", () => {
  const module = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const script = `
    import * as libc from ${module("../../loader/sys/libc.js")};
    import { onReadable } from ${module("../../loader/sys/readable.js")};
    const fd = libc.socket(libc.AF_UNIX, libc.SOCK_STREAM, 0); // not connected: at its end, readable
    onReadable(fd, () => { throw new Error("of the callback"); });
    setTimeout(() => process.exit(0), 5_000);`;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  assert.equal(status, 1, stderr);
  assert.match(stderr, /Error: of the callback/);
});

test("without NOTIFY_SOCKET nothing is sent", () => {
  notifyService("READY=1", undefined);
});
