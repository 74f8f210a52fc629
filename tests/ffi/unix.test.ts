/** sendmsg(2) and recvmsg(2) through koffi: messages, file descriptors, and their limits. */
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import * as libc from "../../loader/sys/libc.ts";
import {
  accept,
  MAX_MESSAGE,
  recvmsg,
  SCM_MAX_FD,
  SOCK_SEQPACKET,
  sendmsg,
} from "../../loader/sys/unix_socket.ts";
import { TempDir } from "../helpers/host/child.ts";
import { openFds } from "../helpers/host/fds.ts";

/** Two connected sockets, closed at the end. */
class Pair implements Disposable {
  readonly a: number;
  readonly b: number;
  readonly #listener: number;
  readonly #dir = new TempDir();

  constructor() {
    const address = libc.sockaddrUnix(this.#dir.file("socket"));
    const type = SOCK_SEQPACKET | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
    this.#listener = libc.socket(libc.AF_UNIX, type, 0);
    libc.bind(this.#listener, address);
    libc.listen(this.#listener, 1);
    assert.equal(accept(this.#listener), null);
    this.a = libc.socket(libc.AF_UNIX, type, 0);
    libc.connect(this.a, address);
    this.b = accept(this.#listener) ?? -1;
  }

  [Symbol.dispose](): void {
    for (const fd of [this.a, this.b, this.#listener]) libc.close(fd);
    this.#dir[Symbol.dispose]();
  }
}

test("a message arrives whole, with its file descriptors, in order", () => {
  const before = openFds();
  {
    using pair = new Pair();
    using dir = new TempDir();
    const fds = [0, 1, 2].map((i) => {
      writeFileSync(dir.file(String(i)), `file ${i}`);
      return openSync(dir.file(String(i)), "r");
    });
    assert.equal(recvmsg(pair.b, 100), null);
    assert.ok(sendmsg(pair.a, Buffer.from("one"), fds));
    assert.ok(sendmsg(pair.a, Buffer.from("two")));
    for (const fd of fds) closeSync(fd);
    const message = recvmsg(pair.b, 100);
    assert.equal(message?.data.toString(), "one");
    assert.equal(message?.truncated, false);
    assert.deepEqual(
      message?.fds.map((fd) => readFileSync(fd, "utf8")),
      ["file 0", "file 1", "file 2"],
    );
    for (const fd of message?.fds ?? []) {
      const info = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
      assert.ok(Number.parseInt(/^flags:\s*(\d+)/m.exec(info)?.[1] ?? "0", 8) & libc.SOCK_CLOEXEC);
      closeSync(fd);
    }
    assert.deepEqual(recvmsg(pair.b, 100), { data: Buffer.from("two"), fds: [], truncated: false });
  }
  assert.deepEqual(openFds(), before);
});

test("253 file descriptors are the most of one message", () => {
  using pair = new Pair();
  const before = openFds().length;
  assert.ok(sendmsg(pair.a, Buffer.from("x"), new Array(SCM_MAX_FD).fill(0)));
  const fds = recvmsg(pair.b, 100)?.fds ?? [];
  assert.equal(fds.length, SCM_MAX_FD);
  for (const fd of fds) libc.close(fd);
  assert.throws(
    () => sendmsg(pair.a, Buffer.from("x"), new Array(SCM_MAX_FD + 1).fill(0)),
    RangeError,
  );
  assert.equal(openFds().length, before);
});

test("a message longer than the buffer is marked truncated; its rest is not the next message", () => {
  using pair = new Pair();
  sendmsg(pair.a, Buffer.from("too long"));
  sendmsg(pair.a, Buffer.from("next"));
  const message = recvmsg(pair.b, 3);
  assert.deepEqual([message?.data.toString(), message?.truncated], ["too", true]);
  assert.equal(recvmsg(pair.b, 100)?.data.toString(), "next");
});

test("the largest message fits, and one byte more is refused before C sees it", () => {
  using pair = new Pair();
  assert.ok(sendmsg(pair.a, Buffer.alloc(MAX_MESSAGE, 7)));
  assert.equal(recvmsg(pair.b, MAX_MESSAGE)?.data.length, MAX_MESSAGE);
  assert.throws(() => sendmsg(pair.a, Buffer.alloc(MAX_MESSAGE + 1)), RangeError);
});

test("a full socket is false, a closed one an error, the end an empty message", () => {
  using pair = new Pair();
  let sent = 0;
  while (sendmsg(pair.a, Buffer.alloc(1000))) sent++;
  assert.ok(sent > 10, String(sent));
  libc.shutdown(pair.a, libc.SHUT_RDWR);
  for (let i = 0; i < sent; i++) recvmsg(pair.b, 1000);
  assert.equal(recvmsg(pair.b, 1000)?.data.length, 0);
  assert.throws(() => sendmsg(pair.b, Buffer.from("x")), { code: "EPIPE" });
});

test("duplicate returns a second descriptor of the same socket", () => {
  using pair = new Pair();
  const copy = libc.duplicate(pair.a);
  sendmsg(copy, Buffer.from("x"));
  libc.close(copy);
  assert.equal(recvmsg(pair.b, 10)?.data.toString(), "x");
  assert.throws(() => libc.duplicate(copy), { code: "EBADF" });
  assert.throws(() => libc.duplicate(-1), /file descriptor/);
});
