/** koffi's undocumented poll API, as loader/sys/readable.ts uses it. */
import assert from "node:assert/strict";
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

test("without NOTIFY_SOCKET nothing is sent", () => {
  notifyService("READY=1", undefined);
});
